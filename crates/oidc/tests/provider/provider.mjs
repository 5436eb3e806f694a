// An OpenID provider for tests: oidc-provider with people who log in without being asked, and with ways to misbehave.
//
// Started as `node provider.mjs '{"people": …}'`; the package is in STEWARD_TEST_OIDC_PROVIDER. It says where it listens
// on stdout. What is under /test is for the test that started it.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const installed = createRequire(join(process.env.STEWARD_TEST_OIDC_PROVIDER, 'package.json'));
const { default: Provider } = await import(pathToFileURL(installed.resolve('oidc-provider')));

const settings = JSON.parse(process.argv[2]);
/** Claims of each person, by subject. */
const people = settings.people;
/** Who logs in next; null says no. */
let person = Object.keys(people)[0];
/** Answers that are given in place of the provider's, by path. */
const canned = {};
/** Requests that came in, by path. */
const asked = {};

const server = createServer((request, response) => handle(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end(String(error));
}));
await new Promise((listening) => server.listen(settings.port ?? 0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

function keys() {
    const { privateKey } = settings.signing === 'ES256'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('rsa', { modulusLength: 2048 });
    return { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig' }] };
}

function provider() {
    return new Provider(issuer, {
        clients: ['steward', 'another'].map((client_id) => ({
            client_id,
            client_secret: 'a secret of the client / with signs',
            redirect_uris: [settings.redirect_url],
            id_token_signed_response_alg: settings.signing ?? 'RS256',
            token_endpoint_auth_method: settings.auth_method ?? 'client_secret_basic',
        })),
        clientAuthMethods: [settings.auth_method ?? 'client_secret_basic'],
        jwks: keys(),
        cookies: { keys: ['of tests'] },
        claims: { openid: ['sub', 'groups', 'realm_access'], email: ['email', 'email_verified'], profile: ['name'] },
        // Whether claims are in the ID token, or only at the userinfo endpoint.
        conformIdTokenClaims: settings.thin ?? false,
        features: { devInteractions: { enabled: false } },
        ttl: { IdToken: 60 },
        interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
        findAccount: (_, subject) => ({ accountId: subject, claims: () => ({ sub: subject, ...people[subject] }) }),
        loadExistingGrant: async ({ oidc }) => {
            const grant = new oidc.provider.Grant({
                clientId: oidc.client.clientId,
                accountId: oidc.session.accountId,
            });
            grant.addOIDCScope(oidc.params.scope);
            await grant.save();
            return grant;
        },
    });
}

let current = provider();

async function handle(request, response) {
    const path = new URL(request.url, issuer).pathname;
    asked[path] = (asked[path] ?? 0) + 1;
    if (path.startsWith('/test/')) {
        const body = await read(request);
        const done = test(path.slice('/test/'.length), body);
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(done ?? null));
        return;
    }
    if (canned[path]) {
        const { status, headers, body } = canned[path];
        const text = typeof body === 'string' ? body : JSON.stringify(body);
        response.writeHead(status ?? 200, { 'content-type': 'application/json', ...headers }).end(text);
        return;
    }
    if (path.startsWith('/interaction/')) {
        const result = person === null
            ? { error: 'access_denied', error_description: 'they said no' }
            : { login: { accountId: person } };
        await current.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
        return;
    }
    await current.callback()(request, response);
}

function test(what, body) {
    switch (what) {
        case 'person':
            person = body;
            return undefined;
        case 'people':
            Object.assign(people, body);
            return undefined;
        case 'rotate':
            // Codes that were given out stay good: they are in the memory of the package.
            current = provider();
            return undefined;
        case 'can':
            canned[body.path] = body.answer;
            return undefined;
        case 'asked':
            return asked[body] ?? 0;
        default:
            throw new Error(`nothing is at /test/${what}`);
    }
}

async function read(request) {
    const chunks = [];
    for await (const chunk of request) {
        chunks.push(chunk);
    }
    return JSON.parse(Buffer.concat(chunks).toString());
}

console.log(`LISTENING ${issuer}`);
