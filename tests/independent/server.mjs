// An authorization server by other people (oidc-provider), on a free loopback port, for posthaste's tests.
//
// Says its address as one line on standard output and ends when standard input does: nothing is left running behind a
// test that was killed. Its own development pages take any user name; the client is a public native one. By OpenID's rule there is a
// refresh token only for offline_access, and that only where consent was asked for. Two applications use
// it without a person: one by its secret, one by the key of the certificate (PEM) that is named on the command line.

import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import Provider from 'oidc-provider';

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';

const client = {
  client_id: 'posthaste',
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code', 'refresh_token', DEVICE],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1'],
};

const application = {
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
};

const bySecret = {
  ...application,
  client_id: 'by-secret',
  client_secret: 'secret-of-an-application',
  token_endpoint_auth_method: 'client_secret_post',
};

const byCertificate = (path) => ({
  ...application,
  client_id: 'by-certificate',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: { keys: [createPublicKey(readFileSync(path)).export({ format: 'jwk' })] },
});

const configuration = {
  clients: [client, bySecret, ...process.argv.slice(2).map(byCertificate)],
  scopes: ['openid', 'offline_access', 'mail'],
  cookies: { keys: ['for tests only'] },
  pkce: { methods: ['S256'], required: () => true },
  rotateRefreshToken: true,
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async () => true },
    revocation: { enabled: true, allowedPolicy: async () => true },
  },
};

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  server.on('request', new Provider(issuer, configuration).callback());
  process.stdout.write(`${issuer}\n`);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
