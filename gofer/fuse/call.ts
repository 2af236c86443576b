/** All that the handling of one request needs, made once and used for every request of a connection. */
import { CString } from "../../linux/c-string.ts";
import { DirectoryReply } from "./directory-reply.ts";
import { AttributesReply, Caller, Change, Entry, FileSystemStatistics, Lock, Opened, type FileSystem } from "./file-system.ts";
import type { Reply } from "./reply.ts";
import type { Request } from "./request.ts";

/** What a handler returns for a request that gets no reply. */
export const NO_REPLY = -0x7fff_ffff;

export class Call {
  readonly fileSystem: FileSystem;
  readonly request: Request;
  readonly reply: Reply;
  readonly caller = new Caller();
  readonly name: CString;
  readonly secondName: CString;
  readonly entry = new Entry();
  readonly attributes = new AttributesReply();
  readonly opened = new Opened();
  readonly change = new Change();
  readonly statistics = new FileSystemStatistics();
  readonly lock = new Lock();
  readonly directory: DirectoryReply;

  constructor(fileSystem: FileSystem, request: Request, reply: Reply) {
    this.fileSystem = fileSystem;
    this.request = request;
    this.reply = reply;
    this.name = new CString(request.block);
    this.secondName = new CString(request.block);
    this.directory = new DirectoryReply(reply);
  }

  get node(): number {
    return this.request.node;
  }
}

/**
 * One operation.
 * @returns the size of the payload that it has put into the reply, the negative errno, or NO_REPLY.
 */
export interface Operation {
  /** The least payload of a request: what `run` may read without asking. */
  readonly atLeast: number;
  readonly run: (call: Call) => number;
}
