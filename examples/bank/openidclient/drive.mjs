// Drives the bank by the npm package openid-client, a client that knows nothing of this library. What is to be done is in the
// plan, see the type plan in the Go test beside this. One line of JSON leaves for each case: its name and, if it failed, why.
import { inspect } from 'node:util'
import { Party, equal, oidc, plan, undici } from './party.mjs'

// codeIn returns the code in what came back, as whoever reads over the customer's shoulder can.
function codeIn({ query, fragment, form }) {
  const jwt = query.get('response')
  if (jwt) {
    return JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url')).code
  }
  return query.get('code') ?? fragment.get('code') ?? form.get('code')
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

// notRequested checks that the bank refuses a request of the party's, where it is made: as it is pushed, or by a page that sends
// the browser nowhere.
async function notRequested(party, error, key, changes) {
  if (!party.registered.by_value) {
    return refused(party.request(key, changes), 400, error)
  }
  return shown(party, await party.request(key, changes), error)
}

// shown checks that the bank shows a page with this error to whoever opens url.
async function shown(party, url, error) {
  const answer = await undici.fetch(url, { redirect: 'manual', dispatcher: party.browser })
  const page = await answer.text()
  const got = { status: answer.status, location: answer.headers.get('location'), form: page.includes('<form') }
  equal(got, { status: 400, location: null, form: false }, 'the answer to a bad request')
  if (!page.includes(error)) {
    throw new Error(`want a page with ${error}: ${page.slice(0, 2000)}`)
  }
}

// detected checks that the party finds out that what came back is not what the bank sent it, before it redeems the code.
async function detected(party, back, why) {
  const asked = party.tokensAsked
  let err
  try {
    await party.redeem(back)
  } catch (e) {
    err = e
  }
  equal(err?.cause?.cause?.claim ?? err?.cause?.claim ?? err?.code, why, 'why the party does not believe the response')
  equal(party.tokensAsked, asked, 'token requests after a response that is not believed')
}

// wasEncrypted checks that whoever registered for encryption got all of it encrypted.
function wasEncrypted(party, tokens, userinfo) {
  const decrypted = oidc.getDecryptedResponses(tokens)
  const want = party.registered.decryption_key !== undefined
  equal(decrypted?.authorization_response !== undefined, want && party.jarm, 'whether the authorization response was encrypted')
  equal(decrypted?.id_token?.authorization_endpoint !== undefined, want && party.hybrid, 'whether the first ID token was encrypted')
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
    await refused(other.redeemStolen(codeIn(back), party.checks.pkceCodeVerifier), 400, 'invalid_grant')
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
    await notRequested(party, 'invalid_request')
  },

  async 'request signed by another'(party, other) {
    const { key } = other.key
    await notRequested(party, 'invalid_request_object', { key, kid: party.key.kid })
  },

  async 'bad request object'(party) {
    const objects = {
      'for another server': (claims) => (claims.aud = 'https://other.bank.example'),
      expired: (claims) => (claims.exp = (claims.nbf -= 600) + 300),
      'living too long': (claims) => (claims.exp = claims.nbf + 70 * 60),
      'from the past': (claims) => (claims.nbf -= 70 * 60),
      'without exp': (claims) => delete claims.exp,
      'without nbf': (claims) => delete claims.nbf,
      'without aud': (claims) => delete claims.aud,
      'of another issuer': (claims) => (claims.iss = 'another'),
    }
    for (const [what, object] of Object.entries(objects)) {
      await step(what, notRequested(party, 'invalid_request_object', party.key, { object }))
    }
  },

  async 'bad request'(party) {
    const requests = {
      'redirect URI of another': (asked) => (asked.redirect_uri += '/x7'),
      'no redirect URI': (asked) => delete asked.redirect_uri,
      'no scope': (asked) => delete asked.scope,
      'no nonce': (asked) => delete asked.nonce,
      'plain PKCE': (asked) => (asked.code_challenge_method = 'plain') && (asked.code_challenge = 'x'.repeat(43)),
    }
    if (!party.registered.by_value) {
      requests['no PKCE'] = (asked) => delete asked.code_challenge && delete asked.code_challenge_method
    }
    for (const [what, change] of Object.entries(requests)) {
      await step(what, notRequested(party, 'invalid_request', party.key, { change }))
    }
  },

  async 'code that nothing vouches for'(party) {
    const object = (claims) => (claims.response_type = 'code') && delete claims.response_mode
    await notRequested(party, 'invalid_request', party.key, { object })
  },

  async 'request brought again'(party) {
    const url = await party.goodRequest()
    const back = await party.open(url)
    await shown(party, url, 'invalid_request_uri')
    await party.redeem(back) // whoever tries has spent nothing
    await shown(party, url, 'invalid_request_uri')
  },

  async 'no certificate'(party) {
    const back = await party.authorize()
    const honest = party.agent
    party.agent = party.browser
    const refusal = party.metadata.token_endpoint_auth_method === 'private_key_jwt' ? [400, 'invalid_request'] : [401, 'invalid_client']
    await refused(party.redeem(back), ...refusal)
    party.agent = honest
    const tokens = await party.redeem(back) // whoever forgot it has lost nothing
    party.agent = party.browser
    await refused(party.refresh(tokens.refresh_token), ...refusal)
    party.agent = honest
    await party.refresh(tokens.refresh_token)
  },

  async 'tampered response'(party) {
    const first = await party.authorize()
    const { expectedState, expectedNonce } = party.checks
    const second = await party.authorize()
    const swapped = (name) => {
      const fragment = new URLSearchParams(second.fragment)
      fragment.set(name, first.fragment.get(name))
      return { ...second, fragment }
    }
    if (party.hybrid) {
      const honest = party.checks
      await step('another code', detected(party, swapped('code'), 'c_hash'))
      await step('another ID token', detected(party, swapped('id_token'), 'nonce'))
      party.checks = { ...honest, expectedState }
      await step('another state', detected(party, swapped('state'), 's_hash'))
      party.checks = { ...honest, expectedNonce }
      await step('another session', detected(party, second, 'nonce'))
      party.checks = honest
    } else {
      await step('another response', detected(party, first, 'OAUTH_INVALID_RESPONSE'))
      const [header, payload, signature] = second.query.get('response').split('.')
      const href = new URL(second.href)
      const forged = (signature[0] === 'A' ? 'B' : 'A') + signature.slice(1)
      href.searchParams.set('response', [header, payload, forged].join('.'))
      await step('another signature', detected(party, { ...second, href }, 'OAUTH_INVALID_RESPONSE'))
    }
    await party.redeem(second)
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
