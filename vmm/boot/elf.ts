/** An ELF file's own tables, as far as a kernel has them. Source: elf(5). */
const PT_LOAD = 1;
const PT_NOTE = 4;
const SECTION_HEADER = 64;
const XEN_ELFNOTE_PHYS32_ENTRY = 18;
/** "Xen", with its NUL. */
const XEN = 0x006e_6558;

export interface Segment {
  readonly offset: number;
  /** The lower half of its virtual address. */
  readonly virtual: number;
  readonly physical: number;
  readonly fileSize: number;
  readonly memorySize: number;
}

export interface ElfKernel {
  readonly file: DataView;
  /** What is loaded. */
  readonly segments: readonly Segment[];
  /** Physical. */
  readonly entry: number;
  /** Physical; 32-bit mode, with EBX at the start info. Source: Xen docs/misc/pvh.pandoc. */
  readonly pvhEntry: number | undefined;
  /** Where the file would end if nothing was behind it. */
  readonly end: number;
}

export function readElf(file: DataView): ElfKernel {
  const word = (offset: number) => Number(file.getBigUint64(offset, true));
  const headers = Array.from({ length: file.getUint16(56, true) }, (_, i) => {
    const at = word(32) + i * file.getUint16(54, true);
    return { type: file.getUint32(at, true), offset: word(at + 8), virtual: file.getUint32(at + 16, true), physical: word(at + 24), fileSize: word(at + 32), memorySize: word(at + 40) };
  });
  const pvhEntry = headers.filter(({ type }) => type === PT_NOTE).map((header) => pvhEntryIn(file, header)).find((found) => found !== undefined);
  return { file, segments: headers.filter(({ type }) => type === PT_LOAD), entry: word(24), pvhEntry, end: word(40) + file.getUint16(60, true) * SECTION_HEADER };
}

const align = (size: number) => (size + 3) & ~3;

/** Notes are name size, descriptor size, type, name, descriptor, each part aligned to 4. */
function pvhEntryIn(file: DataView, { offset, fileSize }: Segment): number | undefined {
  for (let at = offset; at + 12 <= offset + fileSize; ) {
    const [nameSize, descriptorSize, type] = [file.getUint32(at, true), file.getUint32(at + 4, true), file.getUint32(at + 8, true)];
    const descriptor = at + 12 + align(nameSize);
    if (type === XEN_ELFNOTE_PHYS32_ENTRY && file.getUint32(at + 12, true) === XEN) return file.getUint32(descriptor, true);
    at = descriptor + align(descriptorSize);
  }
  return undefined;
}
