/** The root file system of the workloads: the Debian that the tests use, copied to tmpfs, and what the scripts work on. */
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { home } from "../work.ts";

const SOURCES = 60;
const INSERTS = 20_000;
const COMMITS = 5000;
const PACKAGES = 40;
const FILES_EACH = 25;

/** What `npm run bench:root` has built. */
export function debianRoot(): string | undefined {
  const cache = join(home, ".cache/debian");
  const name = existsSync(cache) ? readdirSync(cache).find((name) => name.startsWith("development-")) : undefined;
  return name === undefined ? undefined : join(cache, name);
}

/** @param fio of the host, which the root lacks. */
export function fillWorkloadsRoot(rootfs: string, debian: string, fio: string | undefined): void {
  execFileSync("cp", ["-a", `${debian}/.`, rootfs]);
  if (fio !== undefined) addProgram(rootfs, fio);
  const bench = join(rootfs, "bench");
  cpSync(join(home, "bench/guest"), bench, { recursive: true });
  writeSources(join(bench, "compile"));
  fillTree(bench);
  writeSql(bench);
  writePackages(join(bench, "npm"));
  mkdirSync(join(bench, "www"));
  writeFileSync(join(bench, "www/index.html"), "x".repeat(612));
  writeFileSync(join(bench, "data"), Buffer.alloc(64 << 20, 1));
}

/** 2000 small files in 40 directories: for git and tar. */
export function fillTree(directory: string): void {
  for (let i = 0; i < 40; i++) {
    const folder = join(directory, "tree", `folder${i}`);
    mkdirSync(folder, { recursive: true });
    for (let j = 0; j < 50; j++) writeFileSync(join(folder, `file${j}.txt`), `line ${i} ${j}\n`.repeat(20 + ((i * 50 + j) % 60)));
  }
}

/** A program of the host, which is the same release, with the libraries that the root lacks. */
function addProgram(rootfs: string, program: string): void {
  const libraries = execFileSync("ldd", [program], { encoding: "utf8" }).matchAll(/=> (\/\S+)/g);
  for (const path of [program, ...[...libraries].map(([, path = ""]) => path)]) {
    if (existsSync(join(rootfs, path))) continue;
    mkdirSync(join(rootfs, dirname(path)), { recursive: true });
    copyFileSync(path, join(rootfs, path));
  }
}

function writeSources(directory: string): void {
  mkdirSync(directory);
  for (let i = 0; i < SOURCES; i++) {
    writeFileSync(join(directory, `unit${i}.c`), `#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint unit${i}(int n) { char text[32]; snprintf(text, sizeof text, "%d", n); return (int)strlen(text) + abs(n); }\n`);
  }
  const all = Array.from({ length: SOURCES }, (_, i) => `unit${i}`);
  writeFileSync(join(directory, "main.c"), `${all.map((name) => `int ${name}(int);\n`).join("")}int main(void) { return ${all.map((name) => `${name}(1)`).join(" + ")} == 0; }\n`);
  writeFileSync(join(directory, "Makefile"), "objects := $(patsubst %.c,%.o,$(wildcard *.c))\nprogram: $(objects)\n\tgcc -o $@ $^\n%.o: %.c\n\tgcc -O1 -c -o $@ $<\nclean:\n\trm -f program $(objects)\n");
}

const inserts = (count: number): string => Array.from({ length: count }, (_, i) => `insert into t values (${i}, 'row ${i}');\n`).join("");

function writeSql(directory: string): void {
  const table = "create table t (id integer primary key, text text);\n";
  writeFileSync(join(directory, "inserts.sql"), `pragma synchronous = full;\n${table}begin;\n${inserts(INSERTS)}commit;\n`);
  writeFileSync(join(directory, "commits.sql"), `pragma synchronous = full;\n${table}${inserts(COMMITS)}`);
}

/** Archives as npm takes them, and a project that depends on all of them. */
function writePackages(directory: string): void {
  const all = Array.from({ length: PACKAGES }, (_, i) => `package-${i}`);
  mkdirSync(join(directory, "archives"), { recursive: true });
  for (const name of all) {
    const content = join(directory, name, "package");
    mkdirSync(content, { recursive: true });
    writeFileSync(join(content, "package.json"), JSON.stringify({ name, version: "1.0.0" }));
    for (let i = 0; i < FILES_EACH; i++) writeFileSync(join(content, `module${i}.js`), `module.exports = ${i};\n`.repeat(40));
    execFileSync("tar", ["-C", join(directory, name), "-czf", join(directory, "archives", `${name}.tgz`), "package"]);
  }
  const dependencies = Object.fromEntries(all.map((name) => [name, `file:archives/${name}.tgz`]));
  writeFileSync(join(directory, "package.json"), JSON.stringify({ name: "project", version: "1.0.0", dependencies }));
}
