/** Lists as stores write them: whatever their form, the same is read. */
import { describe, expect, test } from "vitest";
import { readExpiration, readListPage } from "./answers.ts";

interface Entry {
  readonly key: string;
  readonly etag: string;
  readonly size: number;
}

const time = "2026-11-25T12:00:00.000Z";
const page = (rows: string, more = "") =>
  new TextEncoder().encode(
    `<?xml version="1.0"?><ListBucketResult xmlns="x"><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>${rows}${more}</ListBucketResult>`,
  );
const read = (rows: string, more = "") => readListPage(page(rows, more), Date.parse(time) + 5000);

const modified = `<LastModified>${time}</LastModified>`;
const forms: Readonly<Record<string, (entry: Entry) => string>> = {
  plain: ({ key, etag, size }) =>
    `<Contents><Key>${key}</Key>${modified}<ETag>&quot;${etag}&quot;</ETag><Size>${size}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
  "with more in between": ({ key, etag, size }) =>
    `<Contents><Key>${key}</Key>${modified}<ETag>"${etag}"</ETag><ChecksumType>FULL_OBJECT</ChecksumType><Size>${size}</Size></Contents>`,
  "in another order": ({ key, etag, size }) =>
    `<Contents><Size>${size}</Size><ETag>&quot;${etag}&quot;</ETag>${modified}<Key>${key}</Key></Contents>`,
  "with an owner": ({ key, etag, size }) =>
    `<Contents><Key>${key}</Key>${modified}<ETag>&quot;${etag}&quot;</ETag><Size>${size}</Size><Owner><ID>1</ID></Owner></Contents>`,
  "in lines": ({ key, etag, size }) =>
    `\n<Contents>\n <Key>${key}</Key>\n ${modified}\n <ETag>&#34;${etag}&#x22;</ETag>\n <Size>${size}</Size>\n</Contents>`,
  "with a comment": ({ key, etag, size }) =>
    `<Contents><Key>${key}</Key><!-- <Key>x</Key> -->${modified}<ETag>${etag}</ETag><Size>${size}</Size></Contents>`,
};
const entries = Array.from({ length: 5 }, (_, at) => ({ key: `a+b%2F${at}%26`, etag: `e${at}`, size: at }));
const objects = entries.map((entry, at) => ({
  ...entry,
  key: `a b/${at}&`,
  modifiedAt: Date.parse(time),
  ageMs: 5000,
}));

describe("a page of a list", () => {
  test.each(Object.keys(forms))("%s says what is there", (name) => {
    expect(read(entries.map((entry) => forms[name]?.(entry)).join(""))).toEqual({
      objects,
      folders: [],
      next: undefined,
    });
  });

  test.each(Object.keys(forms))("says what is there where some are %s, first, last, or in between", (name) => {
    for (let from = 0; from < entries.length; from++)
      for (let to = from + 1; to <= entries.length; to++) {
        const rows = entries.map((entry, at) => forms[at >= from && at < to ? name : "plain"]?.(entry));
        expect(read(rows.join("")).objects).toEqual(objects);
      }
  });

  test("names nothing that isn't an object of it", () => {
    const row = entries.map((entry) => forms["plain"]?.(entry)).join("");
    for (const rows of [`<!-- ${row} -->`, `<![CDATA[${row}]]>`, `<Other>${row}</Other>`, ""])
      expect(read(rows).objects).toEqual([]);
    expect(read(`<!-- <Contents> -->${row}`).objects).toEqual(objects);
  });

  test("says its folders and where the next one begins, wherever that stands", () => {
    const rows = entries.map((entry) => forms["plain"]?.(entry)).join("");
    const about = `<CommonPrefixes><Prefix>a%2F</Prefix></CommonPrefixes>`;
    expect(read(rows, about)).toEqual({ objects, folders: ["a/"], next: undefined });
    expect(read(about, rows)).toEqual({ objects, folders: ["a/"], next: undefined });
    const text = `<ListBucketResult>${rows}<IsTruncated>true</IsTruncated><NextContinuationToken>n</NextContinuationToken></ListBucketResult>`;
    expect(readListPage(new TextEncoder().encode(text)).next).toBe("n");
  });

  test("that breaks off, or isn't one, is none", () => {
    const whole = new TextDecoder().decode(page(entries.map((entry) => forms["plain"]?.(entry)).join("")));
    for (const text of [
      whole.slice(0, -1),
      whole.slice(0, whole.length / 2),
      `${whole}x<`,
      whole.replace("</Key>", ""),
    ])
      expect(() => readListPage(new TextEncoder().encode(text))).toThrow("The store answered");
  });
});

describe("a lifecycle", () => {
  const days = "<Days>1</Days>";
  const named = (filter: string, expiration = days) =>
    readExpiration(
      new TextEncoder().encode(
        `<LifecycleConfiguration><Rule><ID>tidy</ID>${filter}<Status>Enabled</Status><Expiration>${expiration}</Expiration></Rule></LifecycleConfiguration>`,
      ),
      "team-a",
    );

  test.each([
    "",
    "<Filter/>",
    "<Prefix>team</Prefix>",
    "<Prefix>team-a</Prefix>",
    "<Filter><Prefix>team-a/</Prefix></Filter>",
    "<Filter><And><Prefix>team-a/data/</Prefix></And></Filter>",
  ])("that removes our objects names its rule: %j", (filter) => {
    expect(named(filter)).toBe("tidy");
    expect(named(filter, "<Date>2026-01-01T00:00:00Z</Date>")).toBe("tidy");
  });

  test.each([
    ["another datastore", "<Prefix>team-a2/</Prefix>"],
    ["what begins alike", "<Prefix>team-a-old</Prefix>"],
    ["what has a tag", "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>"],
    [
      "what has a tag, too",
      "<Filter><And><Prefix>team-a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>",
    ],
  ])("that is about %s is none of ours", (_, filter) => {
    expect(named(filter)).toBeUndefined();
  });

  test("that only takes away the marks of what is deleted removes nothing of ours", () => {
    expect(named("", "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>")).toBeUndefined();
  });
});
