/**
 * struct virtio_net_hdr of a packet that the guest sends. Source: virtio 1.2, 5.1.6. The host's kernel checks it too (include/linux/virtio_net.h,
 * `virtio_net_hdr_to_skb`), and has been wrong about it more than once: nothing that a driver has no right to say gets there.
 */
export const HEADER_SIZE = 12;

const NEEDS_CHECKSUM = 1;
const GSO_NONE = 0;
/** The driver's feature that each kind of segmentation belongs to (VIRTIO_NET_F_HOST_TSO4, TSO6). */
const GSO_FEATURES: Readonly<Record<number, number>> = { 1: 1 << 11, 4: 1 << 12 };
const F_CHECKSUM = 1 << 0;
/** Ethernet, IPv4 and TCP without options. */
const LEAST_SEGMENTED = 14 + 20 + 20;

/** @param header a copy. @param size bytes of the packet behind it. @param features what the driver has taken. */
export function isSound(header: Uint8Array, size: number, features: number): boolean {
  if (header.length < HEADER_SIZE || size <= 0) return false;
  const view = new DataView(header.buffer, header.byteOffset, HEADER_SIZE);
  const [flags, kind] = [view.getUint8(0), view.getUint8(1)];
  const [headerLength, segment, start, offset] = [2, 4, 6, 8].map((at) => view.getUint16(at, true)) as [number, number, number, number];
  // VIRTIO_NET_HDR_F_DATA_VALID and RSC_INFO are the device's to say (5.1.6.2).
  if ((flags & ~NEEDS_CHECKSUM) !== 0) return false;
  const needsChecksum = flags === NEEDS_CHECKSUM;
  if (needsChecksum && ((features & F_CHECKSUM) === 0 || start + offset + 2 > size)) return false;
  if (kind === GSO_NONE) return true;
  return needsChecksum && (features & (GSO_FEATURES[kind] ?? 0)) !== 0 && segment > 0 && headerLength <= size && size >= LEAST_SEGMENTED;
}
