/** What the guest is told about its memory: entries of type and range, as E820 and PVH both have them. */
import { BOOT, memoryRanges } from "../layout.ts";

export const E820_RAM = 1;
export const E820_RESERVED = 2;

export interface MapEntry {
  readonly start: number;
  readonly size: number;
  readonly type: number;
}

export function memoryMap(memorySize: number): readonly MapEntry[] {
  const entries: MapEntry[] = [
    { start: 0, size: BOOT.lowEnd, type: E820_RAM },
    { start: BOOT.lowEnd, size: BOOT.highMemory - BOOT.lowEnd, type: E820_RESERVED },
  ];
  for (const { start, size } of memoryRanges(memorySize)) {
    const from = Math.max(start, BOOT.highMemory);
    entries.push({ start: from, size: start + size - from, type: E820_RAM });
  }
  return entries;
}
