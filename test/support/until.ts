/** A limit's factor where the tests run in an emulated machine (test/qemu/inside.ts), whose processor is slower. */
export const SLOWNESS = process.env["TSSANDBOX_IN_QEMU"] === undefined ? 1 : 4;

/** Polls every few milliseconds until the function returns something other than undefined or false; throws after the time-out, times `SLOWNESS`. */
export async function until<T>(what: string, probe: () => T | undefined | false | Promise<T | undefined | false>, timeoutMs = 20_000): Promise<T> {
  const deadline = performance.now() + timeoutMs * SLOWNESS;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs * SLOWNESS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
