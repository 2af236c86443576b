/** gRPC's status codes, as far as containerd tells them apart. Source: google/rpc/code.proto, containerd errdefs. */
export const CODE = { ok: 0, unknown: 2, invalidArgument: 3, deadlineExceeded: 4, notFound: 5, alreadyExists: 6, failedPrecondition: 9, unimplemented: 12, unavailable: 14 } as const;

/** What a call is answered with in the place of a result. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: number;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
