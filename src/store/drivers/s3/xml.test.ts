import { expect, test } from "vitest";
import { child, escapeXml, parseXml, textOf } from "./xml.ts";

test("elements, text, entities, empty elements, comments and declarations", () => {
  const root = parseXml(
    `\uFEFF<?xml version="1.0"?>\n<List xmlns="http://x/"><!-- a --><Key>a &amp; b&#x1F600;&#10;</Key><Empty/><In><Key>c</Key></In><Raw><![CDATA[<&]]></Raw></List>`,
  );
  expect(root?.name).toBe("List");
  expect(textOf(root, "Key")).toBe("a & b\u{1F600}\n");
  expect(child(root, "Empty")?.text).toBe("");
  expect(textOf(child(root, "In"), "Key")).toBe("c");
  expect(textOf(root, "Raw")).toBe("<&");
});

test.each([
  "",
  "not XML",
  "<a>",
  "<a></b>",
  "<a></a><b></b>",
  "<a></a>text<",
  "</a>",
  "<a".repeat(3),
  "<a>".repeat(40) + "</a>".repeat(40),
])("%s is nothing", (text) => {
  expect(parseXml(text)).toBeUndefined();
});

test("an element that is there several times gives all of them, in order", () => {
  const root = parseXml("<L><K>1</K><X/><K>2</K></L>");
  expect(root?.children.filter((one) => one.name === "K").map((one) => one.text)).toEqual(["1", "2"]);
});

test("what is escaped comes back as it was", () => {
  const text = `<&>"' \r\u{1F600}`;
  expect(textOf(parseXml(`<a><b>${escapeXml(text)}</b></a>`), "b")).toBe(text);
});
