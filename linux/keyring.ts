/** Session keyrings. Source: keyctl(2). */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

const KEYCTL_JOIN_SESSION_KEYRING = 1;
const KEYCTL_SETPERM = 5;
const KEYCTL_DESCRIBE = 6;
const KEY_USER_SEARCH = 0x00080000;

/** Replaces the session keyring by a new, empty one. @returns its serial number. @throws SysError ENOSYS without CONFIG_KEYS. */
export function joinSessionKeyring(name: string): number {
  using s = scratch();
  return check(syscall(SYS.keyctl, KEYCTL_JOIN_SESSION_KEYRING, s.cstr(name)), "keyctl", name);
}

/** Lets the owner search the keyring, which a fresh one allows to its possessor only. */
export function allowUserSearch(serial: number): void {
  using s = scratch();
  const text = s.reserve(256);
  const length = check(syscall(SYS.keyctl, KEYCTL_DESCRIBE, serial, text.address, text.size), "keyctl");
  const permissions = Number.parseInt(new TextDecoder().decode(text.bytes.slice(0, length)).split(";")[3] ?? "", 16);
  check(syscall(SYS.keyctl, KEYCTL_SETPERM, serial, permissions | KEY_USER_SEARCH), "keyctl");
}
