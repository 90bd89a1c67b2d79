package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/fetch"
	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/mtls"
)

// An Introspector asks the authorization server what a token says, for tokens
// that an API cannot read itself (RFC 7662). It takes the answer as a signed
// JWT alone (RFC 9701; FAPI 2.0 MS, 5.5.2), never as plain JSON.
//
// Every request asks anew: nothing is cached, so that a revocation bites at
// once (RFC 7662, 4). Where that is too dear, the issuer's [Opaque] or JWTs cost
// no question, and neither does a request that has no certificate, or no good
// proof where it says DPoP. An answer that is encrypted is refused.
type Introspector struct {
	// URL is the introspection endpoint, an https URL.
	URL string

	// ClientID is this API's own name at the authorization server: sent as
	// client_id, and demanded in aud of every answer.
	ClientID string

	// HTTP makes the requests. Its transport decides whom to trust, and holds
	// the client certificate where that is what authenticates this API. It must
	// be given, and should keep as many idle connections as it has requests
	// under way: a TLS handshake costs more than the question. Redirects are not
	// followed and cookies not kept, whatever it says, and a question takes five
	// seconds at most.
	HTTP *http.Client

	// Authenticate, if not nil, adds to a request what authenticates this API,
	// such as client_assertion_type and a fresh client_assertion (RFC 7523,
	// 2.2). Its error is an outage.
	Authenticate func(context.Context, url.Values) error
}

const (
	typeIntrospection  = "token-introspection+jwt" // RFC 9701, 5
	mediaIntrospection = "application/" + typeIntrospection

	maxAnswer  = 64 << 10
	askTimeout = 5 * time.Second

	// answerLife is how old an answer may be. It was made on our asking.
	answerLife = time.Minute
)

// check tells fail all that is wrong with i.
func (i *Introspector) check(fail func(format string, args ...any)) {
	if err := fetch.CheckURL(i.URL); err != nil {
		fail("Introspect: %w", err)
	}
	if i.ClientID == "" {
		fail("Introspect: ClientID is empty")
	}
	if i.HTTP == nil {
		fail("Introspect: HTTP is nil")
	}
}

// ask returns the answer as it came, a JWT if it is any good.
func (i *Introspector) ask(ctx context.Context, token string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}, "client_id": {i.ClientID}}
	if i.Authenticate != nil {
		if err := i.Authenticate(ctx, form); err != nil {
			return "", fmt.Errorf("token: introspection: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("token: introspection: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", mediaIntrospection)  // RFC 9701, 4
	req.Header.Set("Accept-Encoding", "identity") // so that maxAnswer counts what travels
	client := *i.HTTP
	client.Jar = nil
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("token: introspection: %w", err)
	}
	defer res.Body.Close()
	return readAnswer(res)
}

// readAnswer returns the body of an answer of the right kind. Any status but
// 200 is no answer: an inactive token is none of them (RFC 7662, 2.2). The body
// is read whatever it is, since the connection is lost with what is left of it.
func readAnswer(res *http.Response) (string, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1)) // if too long, it is malformed
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("token: introspection: the server answered %d", res.StatusCode)
	}
	if err != nil {
		return "", fmt.Errorf("token: introspection: %w", err)
	}
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || media != mediaIntrospection || res.Header.Get("Content-Encoding") != "" {
		return "", unconfirmed("RFC9701-I-1", errors.New("the answer is no "+mediaIntrospection))
	}
	return string(body), nil
}

func unconfirmed(rule string, err error) *Error {
	return wrapToken(rule, "the authorization server did not confirm the token", err)
}

// asks reports whether the authorization server is to be asked about a token.
func (v *Verifier) asks(token string) bool {
	return v.config.Introspect != nil && !strings.Contains(token, ".")
}

// worthAsking refuses what no answer could make good, so that who has nothing
// but a made-up token cannot have us ask about it, and a demand for a nonce
// costs no question.
func (v *Verifier) worthAsking(r *http.Request, scheme, token string) error {
	switch {
	case !isB64Token(token):
		return unreadable(token, "", nil)
	case scheme == schemeDPoP:
		_, err := v.proof(r, token)
		return err
	case len(mtls.Chain(r)) == 0:
		return errNoCertificate()
	}
	return nil
}

// introspect returns what the authorization server says the token says.
func (v *Verifier) introspect(ctx context.Context, token string) (c jose.Claims, a *Access, err error) {
	answer, err := v.config.Introspect.ask(ctx, token)
	if err != nil {
		return c, nil, err
	}
	if c, err = v.verifyAnswer(ctx, answer); err != nil {
		return c, nil, err
	}
	switch active, ok := c.Bool("active"); {
	case !ok:
		return c, nil, unconfirmed("RFC7662-2.2-1", errors.New("the answer does not say whether the token is active"))
	case !active:
		return c, nil, refuseToken("FAPI2-SP-5.3.4-3", "the token is not active")
	}
	if a, err = readClaims(c); err != nil {
		return c, nil, err
	}
	delete(a.Extra, "active")
	delete(a.Extra, "token_type")
	if len(a.Extra) == 0 {
		a.Extra = nil
	}
	return c, a, nil
}

// verifyAnswer returns the token_introspection of an answer that the issuer
// signed, for us and just now (FAPI 2.0 MS, 5.5.2-2; RFC 9701, 5).
func (v *Verifier) verifyAnswer(ctx context.Context, compact string) (none jose.Claims, err error) {
	const rule = "FAPI2-MS-5.5.2-2"
	t, err := jose.Parse(compact, maxAnswer)
	if err != nil {
		return none, unconfirmed(rule, err)
	}
	if typ := t.Header.Type; !strings.EqualFold(typ, typeIntrospection) && !strings.EqualFold(typ, mediaIntrospection) {
		return none, unconfirmed(rule, errors.New("the answer has another typ"))
	}
	keys, err := v.config.Keys.PublicKeys(ctx)
	if err != nil {
		return none, fmt.Errorf("token: public keys: %w", err)
	}
	c, err := t.Verify(v.config.Algorithms, joseKeys(keys))
	if err != nil {
		return none, unconfirmed(rule, err)
	}
	iss, _ := c.String("iss")
	aud, _ := c.Strings("aud")
	iat, made := c.Time("iat")
	said, ok := c.Object("token_introspection")
	now := v.config.Now()
	switch {
	case iss != v.config.Issuer:
		return none, unconfirmed(rule, errors.New("the answer is of another issuer"))
	case !slices.Contains(aud, v.config.Introspect.ClientID):
		return none, unconfirmed(rule, errors.New("the answer is for another audience"))
	case !made || iat.After(now.Add(v.config.Ahead)) || iat.Before(now.Add(-answerLife)):
		return none, unconfirmed(rule, errors.New("the answer was not made just now"))
	case !ok:
		return none, unconfirmed(rule, errors.New("the answer has no token_introspection"))
	}
	return said, nil
}
