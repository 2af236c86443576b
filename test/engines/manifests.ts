/** The manifests of deploy/: YAML as Python reads it, the chart as Go's templates make it. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensurePackages } from "../packages.ts";
import { execute } from "./support.ts";

export const deploy = join(import.meta.dirname, "../../deploy");

/** What the tools need. kubectl may have come from elsewhere than Debian. */
export async function prepareTools(): Promise<void> {
  await ensurePackages(["python3-yaml"]);
  if ((await execute(["sh", "-c", "command -v kubectl"])).code !== 0) await ensurePackages(["kubernetes-client"]);
}

/** All documents. @throws Error for what is no YAML. */
export async function parseYaml(text: string): Promise<unknown[]> {
  const { code, stdout, stderr } = await execute(["python3", "-c", "import json, sys, yaml; print(json.dumps([d for d in yaml.safe_load_all(sys.stdin) if d is not None]))"], { input: text });
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as unknown[];
}

async function kubectl(file: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await execute(["kubectl", ...args, "--local", "-f", file], { env: { KUBECONFIG: "/dev/null" } });
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

/**
 * The chart's documents with these values over its own. Helm is not in Debian, but its templates are Go's, and kubectl renders those over any object:
 * one whose fields are Values and Release.
 */
export async function render(values: object = {}): Promise<unknown[]> {
  const directory = mkdtempSync(join(tmpdir(), "tss-chart-"));
  try {
    const [defaults] = (await parseYaml(readFileSync(join(deploy, "chart/values.yaml"), "utf8"))) as [object];
    const object = join(directory, "object.json");
    writeFileSync(object, JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "values" }, Values: { ...defaults, ...values }, Release: { Name: "tssandbox", Namespace: "kube-system" } }));
    const templates = readdirSync(join(deploy, "chart/templates")).sort().reverse();
    const pages: string[] = [];
    for (const name of templates) pages.push(await kubectl(object, "annotate", "a=b", "-o", `go-template-file=${join(deploy, "chart/templates", name)}`));
    return await parseYaml(pages.join("\n"));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** An object of the apps group as Kubernetes' own types read and write it: what they do not know is missing in it. */
export async function typed(object: unknown): Promise<unknown> {
  const directory = mkdtempSync(join(tmpdir(), "tss-typed-"));
  try {
    const file = join(directory, "object.json");
    writeFileSync(file, JSON.stringify(object));
    return JSON.parse(await kubectl(file, "set", "env", "-o", "json", "TYPED=yes"));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
