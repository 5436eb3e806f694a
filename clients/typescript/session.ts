// One session from its login to its end. Where the server is and who logs in is in the environment.

import createClient from "openapi-fetch";
import type { paths } from "./steward.js";

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}`);
  return value;
}

// The body of an answer; a failure is thrown with what the server said about it.
function body<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.data === undefined) {
    throw new Error(`${answer.response.status}: ${JSON.stringify(answer.error)}`);
  }
  return answer.data;
}

const client = createClient<paths>({ baseUrl: setting("STEWARD_URL") });

const login = body(
  await client.POST("/api/v1/auth/login", {
    body: { email: setting("STEWARD_EMAIL"), password: setting("STEWARD_PASSWORD") },
  }),
);
client.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${login.access_token}`);
    return request;
  },
});

const session = body(
  await client.POST("/api/v1/sessions", { body: { name: "from TypeScript", metadata: { ticket: "OPS-17" } } }),
);
const path = { id: session.id };

const answer = body(
  await client.POST("/api/v1/sessions/{id}/query", { params: { path }, body: { message: "Say hello." } }),
);
if (!("content" in answer)) throw new Error("an answer that was waited for is no stream");
if (answer.status !== "completed") throw new Error(`the turn is ${answer.status}: ${answer.error_message}`);

const messages = body(await client.GET("/api/v1/sessions/{id}/messages", { params: { path } }));
if (messages.length < 2) throw new Error(`${messages.length} messages`);

const refused = await client.GET("/api/v1/sessions", { params: { query: { limit: 0 } } });
if (refused.error?.error_code !== "VALIDATION_FAILED") throw new Error("a limit of 0 was accepted");

const ended = await client.DELETE("/api/v1/sessions/{id}", { params: { path } });
if (ended.response.status !== 204) throw new Error(`the session was not ended: ${JSON.stringify(ended.error)}`);

console.log(`${messages.length} messages, $${answer.metrics.cost_usd}: ${answer.content.text}`);
