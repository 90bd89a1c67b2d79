package grant

import "time"

// A Grant is what a customer approved for a client, with the code and the
// refresh token that stand for it. It is one record, so that deleting the
// record ends everything that was issued from it.
//
// A denied request leaves a Grant too, with Denied set and nothing else: it
// keeps the place that a later approval of the same request would take. So does
// one that was approved by amending another grant.
type Grant struct {
	Locator Locator
	Denied  bool

	Client   string // client_id
	Subject  string
	Scopes   []string
	AuthTime time.Time
	ACR      string
	AMR      []string
	Created  time.Time
	Expires  time.Time // when the grant ends; zero if it has no refresh token

	Resources []string // the APIs it is for; empty for those that the scopes imply
	Details   []string // authorization_details, each element as JSON
	Claims    string   // the claims that were asked for one by one, as JSON, or ""

	ByValue bool // its request came by value; see Request

	Session Digest // of the bank's session, see [SessionDigest]; zero if it named none
	Consent string // the id of the host's consent that it rests on, or ""

	Code    Code
	Refresh Digest // of the refresh token's secret; zero before there is one

	// Pending is what the grant becomes when the code of Pending is redeemed: an
	// amendment that the customer approved. It has the same locator, client and
	// subject, and no Pending of its own. It is nil if there is none.
	Pending *Grant
	Epoch   Epoch // of the access tokens that are good
}

// HasIssued reports whether tokens may rest on g. If not, its code is still to
// be redeemed, or it was denied: a token that names it is from an earlier grant
// of the same request, which was revoked while a second decision about the
// request was under way.
func (g *Grant) HasIssued() bool {
	return !g.Denied && (g.Code.Claim != "" || g.Refresh != Digest{})
}

// A Code is the state of a grant's authorization code.
type Code struct {
	Secret      Digest
	Expires     time.Time
	RedirectURI string
	Challenge   string // code_challenge, S256
	Nonce       string
	JKT         string // the DPoP key it is bound to (RFC 9449, 10), or ""

	// Claim is the version of the write that redeemed the code, or "". After
	// a lost answer it tells one's own claim from another's.
	Claim string
}

const (
	grantLocator = iota + 1
	grantDenied
	grantClient
	grantSubject
	grantScopes
	grantAuthTime
	grantACR
	grantAMR
	grantCreated
	grantExpires
	grantCodeSecret
	grantCodeExpires
	grantCodeRedirectURI
	grantCodeChallenge
	grantCodeNonce
	grantCodeClaim
	grantRefresh
	grantCodeJKT
	grantResources
	grantDetails
	grantClaims
	grantByValue
	grantSession
	grantConsent
	grantPending
	grantEpoch
)

// Encode returns the record's value.
func (g *Grant) Encode() []byte {
	e := newEncoder(384)
	e.bytes(grantLocator, g.Locator[:])
	e.bool(grantDenied, g.Denied)
	e.string(grantClient, g.Client)
	e.string(grantSubject, g.Subject)
	e.strings(grantScopes, g.Scopes)
	e.time(grantAuthTime, g.AuthTime)
	e.string(grantACR, g.ACR)
	e.strings(grantAMR, g.AMR)
	e.time(grantCreated, g.Created)
	e.time(grantExpires, g.Expires)
	e.digest(grantCodeSecret, g.Code.Secret)
	e.time(grantCodeExpires, g.Code.Expires)
	e.string(grantCodeRedirectURI, g.Code.RedirectURI)
	e.string(grantCodeChallenge, g.Code.Challenge)
	e.string(grantCodeNonce, g.Code.Nonce)
	e.string(grantCodeClaim, g.Code.Claim)
	e.digest(grantRefresh, g.Refresh)
	e.string(grantCodeJKT, g.Code.JKT)
	e.strings(grantResources, g.Resources)
	e.strings(grantDetails, g.Details)
	e.string(grantClaims, g.Claims)
	e.bool(grantByValue, g.ByValue)
	e.digest(grantSession, g.Session)
	e.string(grantConsent, g.Consent)
	if g.Pending != nil {
		e.bytes(grantPending, g.Pending.Encode())
	}
	e.int(grantEpoch, int64(g.Epoch))
	return e.b
}

// Decode reads what [Grant.Encode] wrote, or returns [ErrFormat].
func Decode(b []byte) (*Grant, error) {
	g := new(Grant)
	err := decode(b, func(field uint64, v value) error {
		switch field {
		case grantLocator:
			return v.locator(&g.Locator)
		case grantDenied:
			return v.bool(&g.Denied)
		case grantClient:
			return v.string(&g.Client)
		case grantSubject:
			return v.string(&g.Subject)
		case grantScopes:
			return v.strings(&g.Scopes)
		case grantAuthTime:
			return v.time(&g.AuthTime)
		case grantACR:
			return v.string(&g.ACR)
		case grantAMR:
			return v.strings(&g.AMR)
		case grantCreated:
			return v.time(&g.Created)
		case grantExpires:
			return v.time(&g.Expires)
		case grantCodeSecret:
			return v.digest(&g.Code.Secret)
		case grantCodeExpires:
			return v.time(&g.Code.Expires)
		case grantCodeRedirectURI:
			return v.string(&g.Code.RedirectURI)
		case grantCodeChallenge:
			return v.string(&g.Code.Challenge)
		case grantCodeNonce:
			return v.string(&g.Code.Nonce)
		case grantCodeClaim:
			return v.string(&g.Code.Claim)
		case grantRefresh:
			return v.digest(&g.Refresh)
		case grantCodeJKT:
			return v.string(&g.Code.JKT)
		case grantResources:
			return v.strings(&g.Resources)
		case grantDetails:
			return v.strings(&g.Details)
		case grantClaims:
			return v.string(&g.Claims)
		case grantByValue:
			return v.bool(&g.ByValue)
		case grantSession:
			return v.digest(&g.Session)
		case grantConsent:
			return v.string(&g.Consent)
		case grantPending:
			return v.pending(&g.Pending)
		case grantEpoch:
			return v.int((*int64)(&g.Epoch))
		}
		return ErrFormat
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

// pending reads an amendment, which has none of its own.
func (v value) pending(p **Grant) error {
	g, err := Decode(v)
	if err != nil {
		return err
	}
	if g.Pending != nil {
		return ErrFormat
	}
	*p = g
	return nil
}
