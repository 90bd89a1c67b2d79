package authz

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/aikagi/aikagi/internal/jose"
)

const (
	maxRequestObject  = 64 << 10 // bytes
	requestObjectType = "oauth-authz-req+jwt"
)

// requestObject returns the authorization request that c pushed with f: the
// one in its request object, if there is one, and then nothing of what stands
// beside that (RFC 9101, 6.3). The steps are those of RFC 9126, 3: decrypt,
// verify, and then see whose it is.
//
// Under FAPI 2.0 Security Profile an object is as good for a while, and only
// for a while, as Message Signing wants it.
func (s *Server) requestObject(ctx context.Context, c *caller, f form.Values) (form.Values, error) {
	if !f.Has("request") {
		if c.policy.mustSign(c.Client) { // RFC 9101, 10.5
			return form.Values{}, refuse("RFC9126-2.3-4", invalidRequest, "a signed request object is required")
		}
		return f, nil
	}
	o, err := s.readObject(ctx, c, f.Get("request"))
	if err != nil {
		return form.Values{}, err
	}
	if o.jti != "" { // one that says which it is, is good once; the caller spends the id before it answers
		until := o.expires
		if c.policy.byValue { // opened by value as well, it may be decided so much later
			until = until.Add(s.config.InteractionLifetime)
		}
		c.replay = append(c.replay, objectUse(c.ID, o.jti, until))
	}
	return o.params, nil
}

// An object is a request object that was found good.
type object struct {
	signed  string // header and payload, as they were signed
	jti     string // or ""
	expires time.Time
	params  form.Values
}

// readObject reads a request object of c's.
func (s *Server) readObject(ctx context.Context, c *caller, text string) (*object, error) {
	signed, err := s.decryptRequest(c, text) // RFC 9101, 6.1
	if err != nil {
		return nil, err
	}
	claims, err := s.verifyRequest(ctx, c, signed) // RFC 9101, 6.2
	if err != nil {
		return nil, err
	}
	if err := s.checkParties(c, claims); err != nil {
		return nil, err
	}
	o := &object{signed: signed[:strings.LastIndexByte(signed, '.')]}
	if o.expires, err = s.checkTimes(c, claims); err != nil {
		return nil, err
	}
	if o.jti, err = objectID(claims); err != nil {
		return nil, err
	}
	if o.params, err = requestParameters(claims); err != nil { // RFC 9101, 6.3
		return nil, err
	}
	return o, nil
}

// decryptRequest returns the signed JWT that is in an encrypted request object.
// What is not encrypted it returns as it is. That the content is signed, the
// next step finds out: whoever knows a public key can encrypt to it.
func (s *Server) decryptRequest(c *caller, object string) (string, error) {
	if !jose.IsEncrypted(object) {
		return object, nil
	}
	keys, contentAlgs := s.decrypt, jose.ContentAlgorithms
	if algs := c.policy.keyAlgs; algs != nil {
		keys = slices.DeleteFunc(slices.Clone(keys), func(k jose.DecryptionKey) bool { return !slices.Contains(algs, k.Algorithm) })
		contentAlgs = c.policy.contentAlgs
	}
	content, cty, err := jose.Decrypt(object, maxRequestObject, contentAlgs, keys)
	if err != nil {
		return "", refuse("RFC9101-6.1-1", invalidRequestObject, "the request object cannot be decrypted").because(err)
	}
	if cty != "" && !strings.EqualFold(cty, "JWT") { // RFC 7519, 5.2
		return "", refuse("RFC9101-4-3", invalidRequestObject, "cty of the encrypted request object is not JWT")
	}
	return string(content), nil
}

// verifyRequest checks the type and the signature of a request object, and
// returns its claims.
func (s *Server) verifyRequest(ctx context.Context, c *caller, signed string) (jose.Claims, error) {
	t, err := jose.Parse(signed, maxRequestObject)
	if err != nil {
		return jose.Claims{}, refuse("RFC9101-4-3", invalidRequestObject, "the request object is not a signed JWT").because(err)
	}
	typ := strings.TrimPrefix(strings.ToLower(t.Header.Type), "application/")
	if !slices.Contains([]string{"", "jwt", requestObjectType}, typ) {
		return jose.Claims{}, refuse("CONF-11", invalidRequestObject, "the request object has the typ of another kind of JWT")
	}
	o, err := s.verifyWith(ctx, c, c.RequestAlg, t)
	switch {
	case errors.Is(err, jose.ErrAlgorithm):
		return o, refuse("FAPI2-SP-5.4.1-1b", invalidRequestObject, "the request object has an algorithm that is not allowed or not registered")
	case err != nil:
		return o, refuse("RFC9101-6.2-1", invalidRequestObject, "the signature of the request object cannot be verified").because(err)
	}
	return o, nil
}

// checkParties checks from whom a request object is and to whom, and that it is
// one. Unlike a client assertion it may be for others as well (CONF-2).
func (s *Server) checkParties(c *caller, o jose.Claims) error {
	switch id, ok := o.String("client_id"); {
	case !ok:
		return refuse("RFC9101-4-6", invalidRequestObject, "client_id is missing in the request object")
	case id != c.ID:
		return refuse("RFC9126-3-3", invalidRequestObject, "client_id in the request object is another client")
	}
	if iss, _ := o.String("iss"); iss != c.ID {
		return refuse("RFC9101-4-4", invalidRequestObject, "iss is not the client_id")
	}
	if aud, _ := o.Strings("aud"); !slices.Contains(aud, s.config.Issuer) {
		return refuse("FAPI2-MS-5.3.1-2", invalidRequestObject, "aud is not the issuer and has it not among others")
	}
	if sub, _ := o.String("sub"); sub == c.ID { // then it may be a client assertion
		return refuse("CONF-19", invalidRequestObject, "sub is the client_id")
	}
	if o.Has("request") || o.Has("request_uri") {
		return refuse("RFC9101-4-2", invalidRequestObject, "the request object has request or request_uri in it")
	}
	return nil
}

// checkTimes checks that a request object is good now, and returns until when.
func (s *Server) checkTimes(c *caller, o jose.Claims) (exp time.Time, err error) {
	now := s.now()
	latest := now.Add(c.policy.ahead)
	age, life := c.policy.objectAge, c.policy.objectLife
	nbf, ok := o.Time("nbf")
	switch {
	case !ok:
		return exp, refuse(age.rule, invalidRequestObject, "nbf is missing or not a date")
	case nbf.Before(now.Add(-age.is)):
		return exp, refuse(age.rule, invalidRequestObject, "nbf is more than "+minutes(age.is)+" in the past")
	case nbf.After(latest):
		return exp, refuse("FAPI2-SP-5.3.2.1-13b", invalidRequestObject, "nbf lies too far ahead")
	}
	exp, ok = o.Time("exp")
	switch {
	case !ok:
		return exp, refuse(life.rule, invalidRequestObject, "exp is missing or not a date")
	case !now.Before(exp):
		return exp, refuse(life.rule, invalidRequestObject, "the request object has expired")
	case exp.After(nbf.Add(life.is)):
		return exp, refuse(life.rule, invalidRequestObject, "exp is more than "+minutes(life.is)+" after nbf")
	}
	if o.Has("iat") {
		if iat, ok := o.Time("iat"); !ok || iat.After(latest) {
			return exp, refuse("FAPI2-SP-5.3.2.1-13b", invalidRequestObject, "iat lies too far ahead or is not a date")
		}
	}
	return exp, nil
}

// minutes says how long d is.
func minutes(d time.Duration) string { return strconv.Itoa(int(d/time.Minute)) + " minutes" }

// objectID returns the jti of a request object, or "" if it has none.
func objectID(o jose.Claims) (string, error) {
	if !o.Has("jti") {
		return "", nil
	}
	jti, ok := o.String("jti")
	if !ok || jti == "" || len(jti) > maxJTI {
		return "", refuse("RFC9101-I-1", invalidRequestObject, "jti is empty, too long or not a string")
	}
	return jti, nil
}

// objectUse is the one use of the request object of a client that has that jti.
func objectUse(client, jti string, until time.Time) replayID {
	return replayID{artifact: "request_object", owner: client, id: jti, until: until, spent: errObjectUsed}
}

var errObjectUsed = refuse("RFC9101-I-1", invalidRequestObject, "the request object was used before")

// requestParameters returns the parameters in a request object as they would
// stand in a form, so that both are read by the same code.
func requestParameters(o jose.Claims) (form.Values, error) {
	var params [][2]string
	for _, name := range o.Names() {
		values, ok := parameter(o, name)
		if !ok {
			return form.Values{}, refuse("RFC9101-4-1", invalidRequestObject, name+" in the request object is of another JSON type")
		}
		for _, v := range values {
			params = append(params, [2]string{name, v})
		}
	}
	f, err := form.Of(params, "resource")
	if err != nil {
		return f, refuse("RFC9101-4-1", invalidRequestObject, "the request object has a parameter that cannot be read").because(err)
	}
	return f, nil
}

// textParameters are those that are JSON strings. A parameter that is not known
// is ignored, whatever it is (RFC 6749, 3.1).
var textParameters = []string{
	"client_id", "response_type", "response_mode", "redirect_uri", "scope", "state",
	"code_challenge", "code_challenge_method", "dpop_jkt",
	"nonce", "prompt", "display", "acr_values", "ui_locales", "claims_locales", "login_hint", "id_token_hint",
}

// parameter returns the values of one parameter of a request object. It is
// false if the JSON type is not the parameter's (RFC 9101, 4; RFC 9396, 3; RFC
// 8707, 2; OIDC Core, 6.1).
func parameter(o jose.Claims, name string) ([]string, bool) {
	json := func(open byte) ([]string, bool) {
		raw, _ := o.Raw(name)
		return []string{string(raw)}, raw[0] == open
	}
	switch name {
	case "max_age":
		n, ok := o.Int(name)
		return []string{strconv.FormatInt(n, 10)}, ok
	case "claims", "registration":
		return json('{')
	case "authorization_details":
		return json('[')
	case "resource":
		return o.Strings(name)
	}
	text, ok := o.String(name)
	return []string{text}, ok || !slices.Contains(textParameters, name)
}

// describeRequests fills in how requests may be made (RFC 9101, 9 and 10.5).
func (s *Server) describeRequests(d *document) {
	d.Request = true
	d.RequireSignedRequest = !s.some(func(p *policy) bool { return !p.signedRequest })
	d.RequestAlgs = s.algs()
	keyAlgs := s.keyAlgs()
	for _, key := range s.config.Decrypt {
		if !key.Retired && slices.Contains(keyAlgs, key.Algorithm) && !slices.Contains(d.RequestEncAlgs, key.Algorithm) {
			d.RequestEncAlgs, d.RequestEncs = append(d.RequestEncAlgs, key.Algorithm), s.contentAlgs()
		}
	}
}
