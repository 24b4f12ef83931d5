// What the build runs a command on, so that the code for a datastore in S3 is compiled too: nothing is there, and every write is done.
import { createServer } from "node:http";

const verdict = JSON.stringify({ version: 1, etagForm: "quoted", conditionalDelete: "ignored", versioned: false });
const absent = "<Error><Code>NoSuchKey</Code></Error>";
const empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
let writes = 0;

export function storeStub() {
  const server = createServer((request, response) => {
    request.resume().once("end", () => {
      const found = request.url?.includes("list-type=")
        ? empty
        : request.url?.endsWith("/trial.json")
          ? verdict
          : undefined;
      if (request.method === "PUT") response.writeHead(200, { etag: `"${++writes}"` }).end();
      else if (request.method === "DELETE") response.writeHead(204).end();
      else response.writeHead(found === undefined ? 404 : 200, { etag: '"1"' }).end(found ?? absent);
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}
