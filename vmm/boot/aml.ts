/**
 * ACPI Machine Language, as much of it as a table of devices needs: each function gives the bytes of one term.
 * Source: ACPI 6.5, chapter 20 (encoding), 6.4 (resource descriptors).
 */

export type Aml = readonly number[];

const u16 = (value: number) => [value & 0xff, (value >>> 8) & 0xff];
const u32 = (value: number) => [...u16(value), ...u16(value >>> 16)];

/** Integers take the shortest form (20.2.3). @param value up to 2^53. */
export function integer(value: number): Aml {
  if (value === 0) return [0x00];
  if (value === 1) return [0x01];
  if (value <= 0xff) return [0x0a, value];
  if (value <= 0xffff) return [0x0b, ...u16(value)];
  if (value <= 0xffff_ffff) return [0x0c, ...u32(value)];
  return [0x0e, ...u32(value), ...u32(Math.floor(value / 2 ** 32))];
}

export function string(text: string): Aml {
  return [0x0d, ...Buffer.from(text, "latin1"), 0];
}

/** The length in front of a block, which counts itself (20.2.4). */
function withLength(content: Aml): Aml {
  const size = content.length;
  if (size + 1 <= 0x3f) return [size + 1, ...content];
  for (let extra = 1; extra <= 3; extra++) {
    const total = size + 1 + extra;
    if (total < 2 ** (4 + 8 * extra)) {
      const rest = Array.from({ length: extra }, (_, i) => (total >>> (4 + 8 * i)) & 0xff);
      return [(extra << 6) | (total & 0x0f), ...rest, ...content];
    }
  }
  throw new RangeError(`an AML block of ${size} bytes`);
}

/** One to four name segments, `\` in front for an absolute one (20.2.2); segments are filled up with `_`. */
export function name(path: string): Aml {
  const root = path.startsWith("\\") ? [0x5c] : [];
  const segments = path.slice(root.length).split(".").map((segment) => [...Buffer.from(segment.padEnd(4, "_"), "latin1")]);
  const prefix = segments.length === 1 ? [] : segments.length === 2 ? [0x2e] : [0x2f, segments.length];
  return [...root, ...prefix, ...segments.flat()];
}

export const named = (path: string, value: Aml): Aml => [0x08, ...name(path), ...value];

export const scope = (path: string, ...terms: Aml[]): Aml => [0x10, ...withLength([...name(path), ...terms.flat()])];

export const device = (path: string, ...terms: Aml[]): Aml => [0x5b, 0x82, ...withLength([...name(path), ...terms.flat()])];

/** @param argumentCount 0 to 7. */
export const method = (path: string, argumentCount: number, ...terms: Aml[]): Aml => [
  0x14, ...withLength([...name(path), argumentCount | 0x08, ...terms.flat()]),
];

export const packageOf = (...elements: Aml[]): Aml => [0x12, ...withLength([elements.length, ...elements.flat()])];

export const buffer = (bytes: Aml): Aml => [0x11, ...withLength([...integer(bytes.length), ...bytes])];

/** An identifier of PNP, three letters and four hexadecimal digits, as a 32-bit number (19.3.4). */
export function eisaId(text: string): Aml {
  const letters = [0, 1, 2].map((i) => text.charCodeAt(i) - 0x40);
  const [a = 0, b = 0, c = 0] = letters;
  const number = Number.parseInt(text.slice(3), 16);
  const word = (a << 10) | (b << 5) | c;
  return [0x0c, word >>> 8, word & 0xff, number >>> 8, number & 0xff];
}

/** An operation region in system memory, and one 32-bit field that is all of it (20.2.5.2). */
export function memoryWord(region: string, field: string, address: number): Aml {
  const SYSTEM_MEMORY = 0x00;
  const DWORD_ACCESS = 0x03;
  return [
    0x5b, 0x80, ...name(region), SYSTEM_MEMORY, ...integer(address), ...integer(4),
    0x5b, 0x81, ...withLength([...name(region), DWORD_ACCESS, ...name(field), 32]),
  ];
}

export const LOCAL0: Aml = [0x60];
export const store = (value: Aml, target: Aml): Aml => [0x70, ...value, ...target];
export const and = (a: Aml, b: Aml): Aml => [0x7b, ...a, ...b, 0x00];
export const ifTrue = (condition: Aml, ...terms: Aml[]): Aml => [0xa0, ...withLength([...condition, ...terms.flat()])];
export const notify = (path: string, value: number): Aml => [0x86, ...name(path), ...integer(value)];

/** Resources of a device, with their end tag (6.4.2.9). */
export const resources = (...descriptors: Aml[]): Aml => named("_CRS", buffer([...descriptors.flat(), 0x79, 0x00]));

/** 32-bit fixed memory range, writable (6.4.3.4). */
export const fixedMemory = (base: number, size: number): Aml => [0x86, 9, 0, 1, ...u32(base), ...u32(size)];

/** Extended interrupt descriptor: consumer, edge, active high, and whether others have the same line (6.4.3.6). */
export const edgeInterrupt = (line: number, shared = false): Aml => [0x89, 6, 0, shared ? 0x0b : 0x03, 1, ...u32(line)];

/** I/O port descriptor, 16 bit decode (6.4.2.5). */
export const ports = (base: number, length: number): Aml => [0x47, 1, ...u16(base), ...u16(base), 1, length];
