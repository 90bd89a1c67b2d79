// Package authz is an OAuth 2.0 and OpenID Connect authorization server at
// financial grade, as a library: a bank mounts it on its own mux, keeps its
// data in its own database and shows its own login and consent pages. Start
// with [New].
//
// The host supplies three things, each an interface with few methods: a
// [store.Store], a [token.KeySet] and a [ClientRegistry]. [Config.Interact]
// leads to its pages, and [Interaction.Finish] back.
//
// Which file answers for what:
//
//	endpoint    specification               file
//	/par        RFC 9126                    par.go, request.go
//	            RFC 9101                    jar.go, decrypt.go
//	            RFC 8707; RFC 9396          resource.go; rar.go, details.go
//	/authorize  RFC 6749, 3.1; RFC 9207     authorize.go, interaction.go, decision.go, response.go
//	            RFC 9101, 5                 byvalue.go
//	            amending a grant            amend.go
//	            OpenID Connect Core, 3.3    mode.go, idtoken.go, formpost.go
//	            JARM                        jarm.go, encrypt.go
//	/token      RFC 6749, 3.2               tokens.go, code.go, refresh.go, credentials.go
//	            RFC 7523; RFC 8705, 2       clientauth.go, keys.go
//	            RFC 8705, 3; RFC 9449, 5    holder.go
//	            RFC 8707, 2.2; RFC 9396, 6  privileges.go
//	/introspect RFC 7662; RFC 9701          introspection.go, inspect.go, accept.go
//	/revoke     RFC 7009                    revocation.go
//	/logout     OpenID Connect Logout       logout.go, backchannel.go
//	/arrangements/revoke
//	            Consumer Data Standards     arrangement.go, withdrawal.go
//	/userinfo   OIDC Core, 5.3 and 5.5      userinfo.go, claims.go, standardclaims.go
//	ID tokens   OIDC Core, 2 and 3.1.2.1    idtoken.go, hint.go, authentication.go
//	            OIDC Core, 8                pairwise.go
//	/jwks       RFC 7517                    discovery.go
//	metadata    RFC 8414; RFC 8705, 5       discovery.go
//
// A [Profile] is a table of rules: in profile.go, in fapi1.go, or in the file of
// its region, uk.go, brazil.go, cdr.go or uae.go, for which region.go and
// consent.go do what they have in common. New refuses a configuration that
// breaks one and says all that is wrong at once.
//
// # What happens once
//
// A code is redeemed once, a request is decided once, a client assertion, a
// request object with a jti or a DPoP proof is accepted once, whatever the
// number of nodes, of concurrent requests and of answers lost on the way: each
// is one atomic write of the store. Every check that a stranger or a sloppy
// client could fail comes before that write, so that nobody but its owner uses
// a thing up.
//
// # What ends a token
//
// A client that revokes its refresh token ends the grant with every access
// token from it; one that revokes an access token ends that alone, and its
// refresh token lives on. Either is known at once to an API that introspects or
// has [token.VerifierConfig].Liveness. At any other API an access token works
// until it expires, be it a JWT or opaque.
//
// # What the client is told
//
// A refusal is an [Error]. Its Code and Description are for the client, its
// Rule and Err for the operator, who finds them in the [Event] of
// [Config.Audit]. Any other error is an outage: the client is told
// server_error, with status 503, and may try again.
package authz
