package grant

import "time"

// A Request is an authorization request, checked, waiting for the customer: one
// that was pushed (RFC 9126), or one that came to the authorization endpoint by
// value (RFC 9101, 5).
//
// One that came by value could come again. After its decision it is not
// forgotten but leaves a Request with Decided set, and Locator, Client and
// Expires.
type Request struct {
	Locator Locator
	Secret  Digest // of the request_uri's secret
	Client  string // client_id of who made it
	Expires time.Time
	ByValue bool
	Decided bool
	Use     string // key under which the use of the request object that came by value is remembered, or ""

	RedirectURI string
	State       string
	Scopes      []string
	Challenge   string // code_challenge, S256
	Nonce       string
	ACRValues   []string
	Prompt      []string
	UILocales   []string
	LoginHint   string
	JKT         string // dpop_jkt: the key that the code is bound to, or ""
	MaxAge      int64  // seconds; meaningful if HasMaxAge
	HasMaxAge   bool

	Resources    []string // resource: the APIs it is for; empty if it named none
	Details      []string // authorization_details, each element as JSON
	Claims       string   // claims as JSON, or ""
	Subject      string   // who the customer must be, as the client knows them, or ""
	EssentialACR bool     // one of ACRValues must be reached
	ResponseType string   // "" for code
	ResponseMode string   // "" for the one that the response type has by default

	Consent string // the id of the host's consent that it names, or ""
	Amends  string // the id of the grant that it asks to amend, or ""
	Sharing int64  // seconds that the grant is to last at most, or zero
}

const (
	requestLocator = iota + 1
	requestSecret
	requestClient
	requestExpires
	requestRedirectURI
	requestState
	requestScopes
	requestChallenge
	requestNonce
	requestACRValues
	requestPrompt
	requestUILocales
	requestLoginHint
	requestMaxAge
	requestHasMaxAge
	requestJKT
	requestResources
	requestDetails
	requestClaims
	requestSubject
	requestEssentialACR
	requestResponseMode
	requestResponseType
	requestByValue
	requestDecided
	requestUse
	requestConsent
	requestAmends
	requestSharing
)

// Encode returns the record's value.
func (r *Request) Encode() []byte {
	e := newEncoder(256 + len(r.State))
	e.bytes(requestLocator, r.Locator[:])
	e.digest(requestSecret, r.Secret)
	e.string(requestClient, r.Client)
	e.time(requestExpires, r.Expires)
	e.string(requestRedirectURI, r.RedirectURI)
	e.string(requestState, r.State)
	e.strings(requestScopes, r.Scopes)
	e.string(requestChallenge, r.Challenge)
	e.string(requestNonce, r.Nonce)
	e.strings(requestACRValues, r.ACRValues)
	e.strings(requestPrompt, r.Prompt)
	e.strings(requestUILocales, r.UILocales)
	e.string(requestLoginHint, r.LoginHint)
	e.int(requestMaxAge, r.MaxAge)
	e.bool(requestHasMaxAge, r.HasMaxAge)
	e.string(requestJKT, r.JKT)
	e.strings(requestResources, r.Resources)
	e.strings(requestDetails, r.Details)
	e.string(requestClaims, r.Claims)
	e.string(requestSubject, r.Subject)
	e.bool(requestEssentialACR, r.EssentialACR)
	e.string(requestResponseMode, r.ResponseMode)
	e.string(requestResponseType, r.ResponseType)
	e.bool(requestByValue, r.ByValue)
	e.bool(requestDecided, r.Decided)
	e.string(requestUse, r.Use)
	e.string(requestConsent, r.Consent)
	e.string(requestAmends, r.Amends)
	e.int(requestSharing, r.Sharing)
	return e.b
}

// IsDecided reads no more than Decided of what [Request.Encode] wrote, or
// returns [ErrFormat].
func IsDecided(b []byte) (decided bool, err error) {
	err = decode(b, func(field uint64, v value) error {
		if field == requestDecided {
			return v.bool(&decided)
		}
		return nil
	})
	return decided, err
}

// DecodeRequest reads what [Request.Encode] wrote, or returns [ErrFormat].
func DecodeRequest(b []byte) (*Request, error) {
	r := new(Request)
	err := decode(b, func(field uint64, v value) error {
		switch field {
		case requestLocator:
			return v.locator(&r.Locator)
		case requestSecret:
			return v.digest(&r.Secret)
		case requestClient:
			return v.string(&r.Client)
		case requestExpires:
			return v.time(&r.Expires)
		case requestRedirectURI:
			return v.string(&r.RedirectURI)
		case requestState:
			return v.string(&r.State)
		case requestScopes:
			return v.strings(&r.Scopes)
		case requestChallenge:
			return v.string(&r.Challenge)
		case requestNonce:
			return v.string(&r.Nonce)
		case requestACRValues:
			return v.strings(&r.ACRValues)
		case requestPrompt:
			return v.strings(&r.Prompt)
		case requestUILocales:
			return v.strings(&r.UILocales)
		case requestLoginHint:
			return v.string(&r.LoginHint)
		case requestMaxAge:
			return v.int(&r.MaxAge)
		case requestHasMaxAge:
			return v.bool(&r.HasMaxAge)
		case requestJKT:
			return v.string(&r.JKT)
		case requestResources:
			return v.strings(&r.Resources)
		case requestDetails:
			return v.strings(&r.Details)
		case requestClaims:
			return v.string(&r.Claims)
		case requestSubject:
			return v.string(&r.Subject)
		case requestEssentialACR:
			return v.bool(&r.EssentialACR)
		case requestResponseMode:
			return v.string(&r.ResponseMode)
		case requestResponseType:
			return v.string(&r.ResponseType)
		case requestByValue:
			return v.bool(&r.ByValue)
		case requestDecided:
			return v.bool(&r.Decided)
		case requestUse:
			return v.string(&r.Use)
		case requestConsent:
			return v.string(&r.Consent)
		case requestAmends:
			return v.string(&r.Amends)
		case requestSharing:
			return v.int(&r.Sharing)
		}
		return ErrFormat
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}
