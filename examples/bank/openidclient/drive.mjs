// Drives the bank by the npm package openid-client, a client that knows nothing of this library. What is to be done arrives
// as JSON on the standard input; see the type plan in the Go test beside this. One line of JSON leaves for each case: its
// name and, if it failed, why.
import { webcrypto } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { inspect, isDeepStrictEqual } from 'node:util'

// Node 18 has both without naming them globally, which openid-client counts on.
globalThis.crypto ??= webcrypto
globalThis.CryptoKey ??= webcrypto.CryptoKey
const oidc = await import('openid-client')
const undici = await import('undici')

const plan = JSON.parse(await text(process.stdin))

// What WebCrypto calls the algorithms of JWS and JWE.
const algorithms = {
  ES256: [{ name: 'ECDSA', namedCurve: 'P-256' }, 'sign'],
  PS256: [{ name: 'RSA-PSS', hash: 'SHA-256' }, 'sign'],
  EdDSA: [{ name: 'Ed25519' }, 'sign'],
  'ECDH-ES': [{ name: 'ECDH', namedCurve: 'P-256' }, 'deriveBits'],
  'RSA-OAEP-256': [{ name: 'RSA-OAEP', hash: 'SHA-256' }, 'decrypt'],
}

// importKey reads a private key for alg.
function importKey(pem, alg) {
  const der = Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64')
  const [algorithm, usage] = algorithms[alg]
  return crypto.subtle.importKey('pkcs8', der, algorithm, false, [usage])
}

const methods = {
  private_key_jwt: (key) => oidc.PrivateKeyJwt(key),
  tls_client_auth: () => oidc.TlsClientAuth(),
  self_signed_tls_client_auth: () => oidc.TlsClientAuth(),
}

// A Party is one registered client, set up from the metadata that the bank has of it.
class Party {
  constructor(registered) {
    const { metadata, alg, certificate, certificate_key: certificateKey } = registered
    this.registered = registered
    this.metadata = metadata
    this.alg = alg
    this.openid = metadata.scope.split(' ').includes('openid')
    this.bound = metadata.tls_client_certificate_bound_access_tokens === true
    this.resource = new URL(this.bound ? plan.mtls_resource : plan.resource)
    this.agent = new undici.Agent({ connect: { ca: plan.ca, cert: certificate, key: certificateKey } })
    this.browser = new undici.Agent({ connect: { ca: plan.ca } })
    this.asked = new Set() // paths that wanted a nonce in the DPoP proof before they did anything
  }

  // fetch is what openid-client connects by.
  async fetch(url, options) {
    const answer = await undici.fetch(url, { ...options, dispatcher: this.agent })
    if (answer.status >= 400 && answer.headers.has('dpop-nonce')) {
      this.asked.add(new URL(url).pathname)
    }
    return answer
  }

  // discover reads the bank's metadata and decides how to talk to it.
  async discover() {
    this.key = { key: await importKey(this.registered.key, this.alg), kid: 'signing' }
    const method = this.metadata.token_endpoint_auth_method
    const metadata = { ...this.metadata, use_mtls_endpoint_aliases: this.registered.certificate !== undefined }
    this.config = await oidc.discovery(new URL(plan.issuer), metadata.client_id, metadata, methods[method](this.key), {
      algorithm: this.openid ? 'oidc' : 'oauth2',
      [oidc.customFetch]: (url, options) => this.fetch(url, options),
    })
    oidc.enableNonRepudiationChecks(this.config)
    if (this.metadata.response_modes?.includes('jwt')) {
      oidc.useJwtResponseMode(this.config)
    }
    if (this.registered.decryption_key) {
      const alg = this.metadata.id_token_encrypted_response_alg
      const key = await importKey(this.registered.decryption_key, alg)
      oidc.enableDecryptingResponses(this.config, [plan.enc], { key, alg, kid: 'encryption' })
    }
    if (this.metadata.dpop_bound_access_tokens) {
      await this.newProofKey()
    }
  }

  // newProofKey has the party prove by another key from now on.
  async newProofKey() {
    this.options = { DPoP: oidc.getDPoPHandle(this.config, await oidc.randomDPoPKeyPair(this.alg)) }
  }

  // ask returns the parameters of a new authorization request.
  async ask() {
    this.verifier = oidc.randomPKCECodeVerifier()
    this.checks = { pkceCodeVerifier: this.verifier, expectedState: oidc.randomState() }
    const parameters = {
      redirect_uri: this.metadata.redirect_uris[0],
      scope: this.metadata.scope,
      state: this.checks.expectedState,
      code_challenge: await oidc.calculatePKCECodeChallenge(this.verifier),
      code_challenge_method: 'S256',
    }
    if (this.openid) {
      this.checks.expectedNonce = parameters.nonce = oidc.randomNonce()
      this.checks.idTokenExpected = true
    }
    if (this.metadata.authorization_details_types) {
      parameters.authorization_details = JSON.stringify(plan.details)
    }
    return parameters
  }

  // push sends the request to the bank, signed by key unless there is none, and returns where the browser goes.
  async push(key) {
    let parameters = await this.ask()
    if (key) {
      const signed = await oidc.buildAuthorizationUrlWithJAR(this.config, parameters, key)
      parameters = signed.searchParams
    }
    return oidc.buildAuthorizationUrlWithPAR(this.config, parameters, this.options)
  }

  // authorize pushes a request as the party registered it, and returns where the browser comes back to.
  async authorize() {
    const url = await this.push(this.metadata.require_signed_request_object ? this.key : undefined)
    const answer = await undici.fetch(url, { redirect: 'manual', dispatcher: this.browser })
    const location = answer.headers.get('location')
    const page = await answer.text()
    if (!location) {
      throw new Error(`the authorization endpoint answered ${answer.status} without a redirect: ${page.slice(0, 2000)}`)
    }
    const back = new URL(location)
    const names = [...back.searchParams.keys()].sort().join()
    const want = this.metadata.response_modes?.includes('jwt') ? 'response' : 'code,iss,state'
    equal(names, want, 'the parameters of the authorization response')
    return back
  }

  redeem(back) {
    return oidc.authorizationCodeGrant(this.config, back, this.checks, undefined, this.options)
  }

  refresh(token) {
    return oidc.refreshTokenGrant(this.config, token, undefined, this.options)
  }

  fetchResource(token) {
    return oidc.fetchProtectedResource(this.config, token, this.resource, 'GET', undefined, undefined, this.options)
  }

  // holdsAlone calls the resource with the token and nothing that it is bound to, and returns the status.
  async holdsAlone(token) {
    const headers = { authorization: `Bearer ${token}` }
    const answer = await undici.fetch(this.resource, { headers, dispatcher: this.browser })
    await answer.text()
    return answer.status
  }

  async close() {
    await Promise.all([this.agent.close(), this.browser.close()])
  }
}

function equal(got, want, what) {
  if (!isDeepStrictEqual(got, want)) {
    throw new Error(`${what}: ${inspect(got)}, want ${inspect(want)}`)
  }
}

// opens checks that token opens the resource for party.
async function opens(party, token) {
  const answer = await party.fetchResource(token)
  equal(answer.status, 200, 'status of the resource')
  const { customer } = await answer.json()
  equal(customer?.name, plan.customer, 'the customer at the resource')
}

// refused checks that what was asked for ends in an answer with this status and this error.
async function refused(asked, status, error) {
  let err
  try {
    await asked
  } catch (e) {
    err = e
  }
  if (err === undefined) {
    throw new Error(`not refused, want ${status} ${error}`)
  }
  const code = err.error ?? err.cause?.[0]?.parameters?.error
  if (err.status !== status || code !== error) {
    throw new Error(`want ${status} ${error}, got ${err.status} ${code}`, { cause: err })
  }
}

// wasEncrypted checks that whoever registered for encryption got all of it encrypted.
function wasEncrypted(party, tokens, userinfo) {
  const decrypted = oidc.getDecryptedResponses(tokens)
  const want = party.registered.decryption_key !== undefined
  equal(decrypted?.authorization_response !== undefined, want, 'whether the authorization response was encrypted')
  equal(decrypted?.id_token?.token_endpoint !== undefined, want, 'whether the ID token was encrypted')
  equal(oidc.getDecryptedResponses(userinfo) !== undefined, want, 'whether userinfo was encrypted')
}

// flow is everything that an honest client does.
async function flow(party) {
  const back = await step('authorization', party.authorize())
  const tokens = await step('redeeming the code', party.redeem(back))
  equal(tokens.token_type, party.bound ? 'bearer' : 'dpop', 'token_type')
  equal(tokens.id_token !== undefined, party.openid, 'whether there is an ID token')
  equal(typeof tokens.refresh_token, 'string', 'the type of refresh_token')
  if (party.metadata.authorization_details_types) {
    equal(tokens.authorization_details, plan.details, 'authorization_details')
  }
  await step('the resource', opens(party, tokens.access_token))

  const renewed = await step('refreshing', party.refresh(tokens.refresh_token))
  equal(renewed.access_token === tokens.access_token, false, 'whether the renewed access token is the old one')
  await step('the resource after refreshing', opens(party, renewed.access_token))

  if (party.openid) {
    const { sub } = tokens.claims()
    equal(sub, plan.subject, 'sub of the ID token')
    const userinfo = await step('userinfo', oidc.fetchUserInfo(party.config, renewed.access_token, sub, party.options))
    wasEncrypted(party, tokens, userinfo)
  }
  for (const path of ['/par', '/resource']) {
    equal(party.asked.has(path), !party.bound, `whether ${path} asked for a nonce`)
  }
}

// What the bank has to refuse. The other is a client of the same kind, and as honest as the first.
const attacks = {
  async 'stolen access token'(party, other) {
    const { access_token: token } = await party.redeem(await party.authorize())
    await refused(other.fetchResource(token), 401, 'invalid_token')
    equal(await party.holdsAlone(token), 401, 'status without certificate and proof')
    await opens(party, token)
  },

  async 'stolen access token at userinfo'(party, other) {
    const tokens = await party.redeem(await party.authorize())
    const { sub } = tokens.claims()
    const ask = ({ config, options }) => oidc.fetchUserInfo(config, tokens.access_token, sub, options)
    await refused(ask(other), 401, 'invalid_token')
    await ask(party)
  },

  async 'stolen code'(party, other) {
    const back = await party.authorize()
    other.checks = party.checks
    await refused(other.redeem(back), 400, 'invalid_grant')
    await party.redeem(back) // the thief has spent nothing
  },

  async 'replayed code'(party) {
    const back = await party.authorize()
    const tokens = await party.redeem(back)
    await opens(party, tokens.access_token)
    await refused(party.redeem(back), 400, 'invalid_grant')
    await refused(party.fetchResource(tokens.access_token), 401, 'invalid_token')
    await refused(party.refresh(tokens.refresh_token), 400, 'invalid_grant')
  },

  async 'stolen refresh token'(party, other) {
    const tokens = await party.redeem(await party.authorize())
    await refused(other.refresh(tokens.refresh_token), 400, 'invalid_grant')
    await party.refresh(tokens.refresh_token)
  },

  async 'another proof key'(party) {
    const back = await party.authorize()
    const honest = party.options
    await party.newProofKey()
    await refused(party.redeem(back), 400, 'invalid_grant')
    party.options = honest
    const { access_token: token } = await party.redeem(back)
    await party.newProofKey()
    await refused(party.fetchResource(token), 401, 'invalid_token')
  },

  async 'unsigned request'(party) {
    await refused(party.push(), 400, 'invalid_request')
  },

  async 'request signed by another'(party, other) {
    const { key } = other.key
    await refused(party.push({ key, kid: party.key.kid }), 400, 'invalid_request_object')
  },
}

// step names what was under way when it failed.
async function step(name, work) {
  try {
    return await work
  } catch (err) {
    throw new Error(name, { cause: err })
  }
}

// why tells everything that is known about an error.
function why(err) {
  const told = []
  for (let e = err; e !== undefined && e !== null; e = e.cause) {
    if (!(e instanceof Error)) {
      told.push(e.status ? `status ${e.status}` : inspect(e, { breakLength: Infinity }))
      break
    }
    const details = [e.code, e.status, e.error, e.error_description].filter((d) => d !== undefined)
    told.push(details.length > 0 ? `${e.message} (${details.join(', ')})` : e.message)
    if (e.error !== undefined) break // the cause says the same
  }
  return told.join(': ')
}

for (const { name, attack, clients } of plan.cases) {
  const parties = clients.map((id) => new Party(plan.clients[id]))
  const result = { name }
  try {
    for (const party of parties) {
      await step('discovery', party.discover())
    }
    await (attack ? attacks[attack] : flow)(...parties)
  } catch (err) {
    result.error = why(err)
  }
  await Promise.all(parties.map((party) => party.close()))
  console.log(JSON.stringify(result))
}
