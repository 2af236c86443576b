import { describe, expect, it } from "vitest";
import { recordingDir } from "../recording-dir.ts";
import { blkioWeightToIoWeight, setBlkioV1, setBlkioV2 } from "./blkio.ts";
import { setHugetlbV1, setHugetlbV2 } from "./hugetlb.ts";
import { setNetCls, setNetPrio } from "./network.ts";
import { pidsMax } from "./pids.ts";
import { setRdma } from "./rdma.ts";

const device = { major: 8, minor: 16 };

describe("blkio", () => {
  it("uses the weight files that the scheduler has", () => {
    const request = { weight: 500, leafWeight: 20, weightDevice: [{ ...device, weight: 300, leafWeight: 40 }] };
    const cfq = recordingDir({ "blkio.weight": "" });
    setBlkioV1(cfq, request);
    expect(cfq.writes).toEqual(["blkio.weight = 500", "blkio.leaf_weight = 20", "blkio.weight_device = 8:16 300", "blkio.leaf_weight_device = 8:16 40"]);
    const bfq = recordingDir({});
    setBlkioV1(bfq, { weight: 500, weightDevice: [{ ...device, weight: 300 }] });
    expect(bfq.writes).toEqual(["blkio.bfq.weight = 500", "blkio.bfq.weight_device = 8:16 300"]);
  });

  it("throttles on v1, 0 being no limit", () => {
    const dir = recordingDir({});
    setBlkioV1(dir, { throttleReadBpsDevice: [{ ...device, rate: 1000 }], throttleWriteIOPSDevice: [{ ...device, rate: 0 }] });
    expect(dir.writes).toEqual(["blkio.throttle.read_bps_device = 8:16 1000", "blkio.throttle.write_iops_device = 8:16 0"]);
  });

  it("throttles on v2, 0 becoming max", () => {
    const dir = recordingDir({});
    const [rate] = [{ ...device, rate: 1000 }];
    setBlkioV2(dir, { throttleReadBpsDevice: [rate], throttleWriteBpsDevice: [rate], throttleReadIOPSDevice: [rate], throttleWriteIOPSDevice: [{ ...device, rate: 0 }] });
    expect(dir.writes).toEqual(["io.max = 8:16 rbps=1000", "io.max = 8:16 wbps=1000", "io.max = 8:16 riops=1000", "io.max = 8:16 wiops=max"]);
  });

  it("converts weights linearly, unless BFQ takes them as they are", () => {
    expect([10, 100, 500, 1000].map(blkioWeightToIoWeight)).toEqual([1, 910, 4950, 10_000]);
    const plain = recordingDir({});
    setBlkioV2(plain, { weight: 500, weightDevice: [{ ...device, weight: 1000 }] });
    expect(plain.writes).toEqual(["io.weight = 4950", "io.weight = 8:16 10000"]);
    const bfq = recordingDir({ "io.bfq.weight": "default 100\n" });
    setBlkioV2({ ...bfq, read: () => "default 500\n" }, { weight: 500, weightDevice: [{ ...device, weight: 1000 }] });
    expect(bfq.writes).toEqual(["io.bfq.weight = 500", "io.bfq.weight = 8:16 1000"]);
    expect(() => setBlkioV2(plain, { leafWeight: 5 })).toThrow("blockIO.leafWeight");
  });
});

describe("the small controllers", () => {
  it("limits huge pages, and their reservations where the kernel counts them", () => {
    const v1 = recordingDir({ "hugetlb.2MB.rsvd.limit_in_bytes": "" });
    setHugetlbV1(v1, [{ pageSize: "2MB", limit: 4096 }, { pageSize: "1GB", limit: 0 }]);
    expect(v1.writes).toEqual(["hugetlb.2MB.limit_in_bytes = 4096", "hugetlb.2MB.rsvd.limit_in_bytes = 4096", "hugetlb.1GB.limit_in_bytes = 0"]);
    const v2 = recordingDir({ "hugetlb.2MB.rsvd.max": "" });
    setHugetlbV2(v2, [{ pageSize: "2MB", limit: 4096 }]);
    expect(v2.writes).toEqual(["hugetlb.2MB.max = 4096", "hugetlb.2MB.rsvd.max = 4096"]);
  });

  it("limits RDMA devices by name", () => {
    const dir = recordingDir({});
    setRdma(dir, { mlx5_0: { hcaHandles: 3, hcaObjects: 10_000 }, mlx5_1: { hcaObjects: 1 }, mlx5_2: {} });
    expect(dir.writes).toEqual(["rdma.max = mlx5_0 hca_handle=3 hca_object=10000", "rdma.max = mlx5_1 hca_object=1"]);
  });

  it("classifies network traffic", () => {
    const dir = recordingDir({});
    setNetCls(dir, { classID: 0x10_0001 });
    setNetPrio(dir, { priorities: [{ name: "eth0", priority: 5 }] });
    expect(dir.writes).toEqual(["net_cls.classid = 1048577", "net_prio.ifpriomap = eth0 5"]);
  });

  it("counts processes: negative is unlimited, 0 is the least", () => {
    expect([-1, 0, 7].map(pidsMax)).toEqual(["max", "1", "7"]);
  });
});
