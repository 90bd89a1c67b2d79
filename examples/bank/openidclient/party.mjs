// A Party is one registered client, as openid-client plays it. What is to be done arrives as JSON on the standard input; see
// the type plan in the Go test beside this.
import { webcrypto } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { inspect, isDeepStrictEqual } from 'node:util'

// Node 18 has both without naming them globally, which openid-client counts on.
globalThis.crypto ??= webcrypto
globalThis.CryptoKey ??= webcrypto.CryptoKey
export const oidc = await import('openid-client')
export const undici = await import('undici')

export const plan = JSON.parse(await text(process.stdin))

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
export class Party {
  constructor(registered) {
    const { metadata, alg, certificate, certificate_key: certificateKey } = registered
    this.registered = registered
    this.metadata = metadata
    this.alg = alg
    this.openid = metadata.scope.split(' ').includes('openid')
    this.hybrid = metadata.response_types.includes('code id_token')
    this.jarm = metadata.response_modes?.includes('jwt') === true
    this.bound = metadata.tls_client_certificate_bound_access_tokens === true
    this.resource = new URL(this.bound ? plan.mtls_resource : plan.resource)
    this.agent = new undici.Agent({ connect: { ca: plan.ca, cert: certificate, key: certificateKey } })
    this.browser = new undici.Agent({ connect: { ca: plan.ca } })
    this.tokensAsked = 0
    this.asked = new Set() // paths that wanted a nonce in the DPoP proof before they did anything
  }

  // fetch is what openid-client connects by.
  async fetch(url, options) {
    const answer = await undici.fetch(url, { ...options, dispatcher: this.agent })
    if (new URL(url).pathname === '/token') {
      this.tokensAsked++
    }
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
    if (this.hybrid) {
      oidc.useCodeIdTokenResponseType(this.config)
      oidc.enableDetachedSignatureResponseChecks(this.config)
    } else if (this.jarm) {
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
    this.checks = { expectedState: oidc.randomState() }
    const parameters = {
      redirect_uri: this.metadata.redirect_uris[0],
      scope: this.metadata.scope,
      state: this.checks.expectedState,
    }
    if (!this.registered.without_pkce) {
      this.checks.pkceCodeVerifier = oidc.randomPKCECodeVerifier()
      parameters.code_challenge = await oidc.calculatePKCECodeChallenge(this.checks.pkceCodeVerifier)
      parameters.code_challenge_method = 'S256'
    }
    if (this.registered.form_post) {
      parameters.response_mode = 'form_post'
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

  // request makes an authorization request, signed by key unless there is none, and returns where the browser goes: to the
  // bank with the request itself, or with what the bank calls it once it was pushed. Change changes the parameters, and
  // object the claims of the signed object.
  async request(key, { change, object } = {}) {
    const parameters = await this.ask()
    change?.(parameters)
    let signed
    if (key) {
      const modify = (_, payload) => object?.(payload)
      signed = await oidc.buildAuthorizationUrlWithJAR(this.config, parameters, key, { [oidc.modifyAssertion]: modify })
    }
    if (this.registered.by_value) {
      return signed ?? oidc.buildAuthorizationUrl(this.config, parameters)
    }
    return oidc.buildAuthorizationUrlWithPAR(this.config, signed?.searchParams ?? parameters, this.options)
  }

  // goodRequest makes a request as the party registered it.
  goodRequest() {
    return this.request(this.metadata.require_signed_request_object ? this.key : undefined)
  }

  // authorize makes a good request and returns what the browser comes back with.
  async authorize() {
    return this.open(await this.goodRequest())
  }

  // open sends the browser to url and returns what it comes back with: where it is sent, or the form that it posts.
  async open(url) {
    const answer = await undici.fetch(url, { redirect: 'manual', dispatcher: this.browser })
    const location = answer.headers.get('location')
    const page = await answer.text()
    let back
    if (location) {
      const { href, searchParams, hash } = new URL(location)
      back = { href, query: searchParams, fragment: new URLSearchParams(hash.slice(1)), form: new URLSearchParams() }
    } else if (answer.status === 200 && this.registered.form_post) {
      back = { href: posted(page).action, query: new URLSearchParams(), fragment: new URLSearchParams(), form: posted(page).fields }
    } else {
      throw new Error(`the authorization endpoint answered ${answer.status} without a redirect: ${page.slice(0, 2000)}`)
    }
    const names = (parameters) => [...parameters.keys()].sort().join()
    equal(
      { query: names(back.query), fragment: names(back.fragment), form: names(back.form) },
      {
        query: this.hybrid ? '' : this.jarm ? 'response' : 'code,iss,state',
        fragment: this.hybrid && !this.registered.form_post ? 'code,id_token,iss,state' : '',
        form: this.registered.form_post ? 'code,id_token,iss,state' : '',
      },
      'the parameters of the authorization response',
    )
    return back
  }

  // redeem checks what came back and redeems the code in it.
  redeem(back) {
    let at = new URL(back.href)
    if (this.registered.form_post) {
      at = new Request(at, { method: 'POST', body: back.form })
    } else if (this.hybrid) {
      at.hash = back.fragment
    }
    return oidc.authorizationCodeGrant(this.config, at, this.checks, undefined, this.options)
  }

  // redeemStolen redeems a code that came back to another.
  redeemStolen(code, verifier) {
    const parameters = { code, redirect_uri: this.metadata.redirect_uris[0] }
    if (verifier) {
      parameters.code_verifier = verifier
    }
    return oidc.genericGrantRequest(this.config, 'authorization_code', parameters, this.options)
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

// posted reads a page that posts its form by itself (OAuth 2.0 Form Post Response Mode).
function posted(page) {
  const [, action] = page.match(/<form method="post" action="([^"]*)">/) ?? []
  const inputs = page.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)
  const text = (html) => html.replace(/&#(\d+);/g, (_, n) => String.fromCharCode(n)).replace(/&amp;/g, '&')
  return { action: text(action ?? ''), fields: new URLSearchParams([...inputs].map(([, name, value]) => [text(name), text(value)])) }
}

// equal reports what is not as it has to be.
export function equal(got, want, what) {
  if (!isDeepStrictEqual(got, want)) {
    throw new Error(`${what}: ${inspect(got)}, want ${inspect(want)}`)
  }
}
