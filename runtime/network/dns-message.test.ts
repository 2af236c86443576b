import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addressesIn, parseQuery, parseQuestion, refusalOf, withId } from "./dns-message.ts";

const name = (...labels: string[]) => [...labels.flatMap((label) => [label.length, ...Buffer.from(label)]), 0];
const header = (flags: number, answers: number, questions = 1) => [0x12, 0x34, flags >> 8, flags & 0xff, 0, questions, 0, answers, 0, 0, 0, 0];
const message = (...parts: number[][]) => new Uint8Array(parts.flat());
const QUESTION = [...name("Api", "example"), 0, 1, 0, 1];
const QUERY = message(header(0x0100, 0), QUESTION);
const record = (owner: number[], type: number, data: number[], kind = 1) => [...owner, 0, type, 0, kind, 0, 0, 1, 0, 0, data.length, ...data];

test("a query: its name in lower case", () => {
  expect(parseQuery(QUERY)).toEqual({ id: 0x1234, name: "api.example", end: QUERY.length });
});

test("the root's name is empty", () => {
  expect(parseQuery(message(header(0, 0), [0, 0, 1, 0, 1]))?.name).toBe("");
});

describe("what is no query with one question", () => {
  test.each([
    ["too short", QUERY.subarray(0, 11)],
    ["cut off in the name", QUERY.subarray(0, 15)],
    ["cut off behind it", QUERY.subarray(0, QUERY.length - 1)],
    ["two questions", message(header(0, 0, 2), QUESTION, QUESTION)],
    ["an answer", message(header(0x8180, 0), QUESTION)],
    ["an update", message(header(0x2800, 0), QUESTION)],
    ["a name that points to itself", message(header(0, 0), [0xc0, 12, 0, 1, 0, 1])],
    ["a label with a dot", message(header(0, 0), [...name("a.b"), 0, 1, 0, 1])],
    ["a label with a NUL", message(header(0, 0), [...name("a\0b"), 0, 1, 0, 1])],
    ["a name that is too long", message(header(0, 0), [...name(...Array.from({ length: 5 }, () => "x".repeat(63))), 0, 1, 0, 1])],
    ["a label type that there is not", message(header(0, 0), [0x80, 0, 0, 1, 0, 1])],
  ])("%s", (_what, bytes) => {
    expect(parseQuery(bytes)).toBeUndefined();
  });
});

test("an answer's addresses, those behind an alias too; other records and classes are passed over", () => {
  const alias = name("real", "example");
  const v6 = Array.from({ length: 16 }, (_, i) => i);
  const records = [record([0xc0, 12], 5, alias), record(alias, 1, [192, 0, 2, 1]), record(alias, 28, v6), record(alias, 16, [1, 65]), record(alias, 1, [9, 9, 9, 9], 3)];
  const answer = message(header(0x8180, 5), QUESTION, ...records);
  expect(addressesIn(answer, parseQuestion(answer)!)).toEqual([{ address: new Uint8Array([192, 0, 2, 1]), ttl: 256 }, { address: new Uint8Array(v6), ttl: 256 }]);
});

test("a broken answer has no addresses", () => {
  const answer = message(header(0x8180, 1), QUESTION, record([0xc0, 12], 1, [192, 0, 2, 1]));
  for (let length = QUERY.length; length < answer.length; length++) expect(addressesIn(answer.subarray(0, length), parseQuestion(answer)!)).toBeUndefined();
});

test("whatever comes, nothing is thrown and nothing outside of the message is read", () => {
  const hostile = fc.oneof(fc.uint8Array({ maxLength: 600 }), fc.uint8Array({ maxLength: 80 }).map((rest) => new Uint8Array([...message(header(0x8180, 3), QUESTION), ...rest])));
  fc.assert(fc.property(hostile, (bytes) => {
    const question = parseQuestion(bytes);
    if (question === undefined) return;
    expect(question.end).toBeLessThanOrEqual(bytes.length);
    for (const { address } of addressesIn(bytes, question) ?? []) expect([4, 16]).toContain(address.length);
    expect(refusalOf(bytes, question)).toHaveLength(question.end);
  }));
});

test("a refusal repeats the question, and nothing else; an id is put in its place", () => {
  const refusal = refusalOf(message(header(0x0100, 0), QUESTION, [1, 2, 3]), parseQuery(QUERY)!);
  expect([...refusal]).toEqual([...header(0x8185, 0), ...QUESTION]);
  expect([...withId(QUERY, 0xabcd).subarray(0, 2)]).toEqual([0xab, 0xcd]);
});
