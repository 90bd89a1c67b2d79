package authz

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/grant"
)

// An Interaction is one browser's visit to one authorization request: what the
// client asks of the customer. The host shows it, in as many pages as it
// needs, and ends it with [Interaction.Finish].
//
// Any number of browsers may look at a request; the first decision wins.
type Interaction struct {
	// ID stands for the request, this browser and the time of its first page.
	// Every page carries it as the query or form field "interaction", and
	// lives on the issuer's origin; pages return by GET or by POST from the
	// same site. It opens in the browser that began, and no other.
	ID string

	// GrantID is the id of the grant that an approval makes, known
	// beforehand, so that the host can write its own consent record first. Where
	// the client asks to amend a grant it is that one, and after an approval with
	// a [Decision.Grant] it is that.
	GrantID string

	// Amends is the id of the grant that the client asks to amend, one of its own
	// that stands, or empty. The host finds by it what the customer gave before,
	// in the records that it keeps by GrantID, shows what would change, and
	// approves with the same id as [Decision.Grant]. Whether the grant is that of
	// the customer who has signed in, IsFor tells and Finish checks.
	Amends string

	Client *Client  // who asks
	Scopes []string // for what
	// Details are the authorization_details asked for beside the scopes (RFC
	// 9396, 3.1), each a JSON object of one of Config.DetailsTypes: in an object
	// every action applies to every location and so on, and objects add up.
	// They may name a customer's accounts, so that they are shown once the
	// customer has logged in (RFC 9396, 13). See [Interaction.DetailsText].
	Details []json.RawMessage

	// Claims are the names of what it would know of the customer beside what the
	// scopes stand for (OpenID Connect Core, 5.5), some of Config.ClaimNames.
	Claims []string

	// ACRValues are authentication contexts it would like, best first. With
	// EssentialACR it must be one of them; otherwise the token says which it
	// was, and an API that wants another asks again (RFC 9470). A bank that can
	// reach none that will do denies with [UnmetAuthentication].
	ACRValues    []string
	EssentialACR bool

	// Prompt is what the pages have to do: some of login, consent and
	// select_account, or none alone (OIDC Core, 3.1.2.1). Then there is no page:
	// the host approves at once, or denies with LoginRequired or another of the
	// codes that say which page it would have taken.
	Prompt []string

	// Consent is the id of the host's consent that the request rests on, under
	// profiles by which a client names one, see [ConsentRequest]; or empty.
	Consent string

	// SharingDuration is how long the client would go on asking for the customer's
	// data, under profiles by which a request says so ([AustraliaCDR]); zero is
	// once. The grant ends then, unless [Decision].Expires ends it earlier.
	SharingDuration time.Duration

	UILocales []string      // languages, best first
	LoginHint string        // who the customer may be; a stranger's text, only to fill in a field
	MaxAge    time.Duration // how old the login may be, if HasMaxAge
	HasMaxAge bool          // a MaxAge of zero asks for a new login

	server  *Server
	asked   askedClaims
	client  *caller // Client, which the host cannot replace
	request *grant.Request
	place   string    // the key of the grant that an approval makes, which only one decision takes
	started time.Time // when this browser loaded the first page
}

// interactionField is the name of the field or query parameter that carries
// [Interaction.ID].
const interactionField = "interaction"

// interaction returns what the host may know of req, after checking once more
// what may have changed since it was pushed (RFC 9126, 7.4).
func (s *Server) interaction(c *caller, req *grant.Request) (*Interaction, error) {
	if !c.mayUse(grantCode) {
		return nil, refuse("RFC9126-4-4", unauthorizedClient, "the client is no longer registered for authorization_code")
	}
	if !c.redirectsTo(req.RedirectURI) {
		return nil, refuse("RFC9126-4-4", invalidRequest, "redirect_uri is no longer registered")
	}
	if req.ByValue {
		if err := c.mayComeByValue(); err != nil {
			return nil, err
		}
	}
	if c.checkResponse(responseOf(req)) != nil {
		return nil, refuse("RFC9126-7.4-1", invalidRequest, "response_type or response_mode is no longer registered")
	}
	if registered := strings.Fields(c.Scope); slices.ContainsFunc(req.Scopes, func(scope string) bool { return !s.allows(registered, scope) }) {
		return nil, refuse("RFC9126-7.4-1", invalidRequest, "scope is no longer registered")
	}
	if err := s.stillOffered(c.Client, req); err != nil {
		return nil, err
	}
	asked, err := keptClaims(req.Claims)
	if err != nil {
		return nil, err
	}
	asked = c.mayHear(asked)
	place := req.Locator.Key(grant.KindGrant, s.config.Issuer)
	return &Interaction{
		GrantID:      cmp.Or(req.Amends, place),
		Amends:       req.Amends,
		Client:       c.Client,
		Scopes:       slices.Clone(req.Scopes),
		Details:      s.held(req.Details).raw(),
		Claims:       asked.names(),
		ACRValues:    slices.Clone(req.ACRValues),
		EssentialACR: req.EssentialACR,
		Prompt:       slices.Clone(req.Prompt),
		Consent:      req.Consent,

		SharingDuration: time.Duration(req.Sharing) * time.Second,

		UILocales: slices.Clone(req.UILocales),
		LoginHint: req.LoginHint,
		MaxAge:    time.Duration(req.MaxAge) * time.Second,
		HasMaxAge: req.HasMaxAge,
		server:    s,
		asked:     asked,
		client:    c,
		request:   req,
		place:     place,
	}, nil
}

// A visit is what an Interaction's ID seals.
type visit struct {
	locator grant.Locator
	browser [16]byte // of the cookie's SHA-256
	started int64    // Unix seconds
}

const visitSize = 16 + 16 + 8

func (v visit) bytes() []byte {
	b := make([]byte, 0, visitSize)
	b = append(b, v.locator[:]...)
	b = append(b, v.browser[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(v.started))
}

func readVisit(b []byte) (v visit, err error) {
	if len(b) != visitSize {
		return v, errSeal
	}
	copy(v.locator[:], b)
	copy(v.browser[:], b[16:])
	v.started = int64(binary.BigEndian.Uint64(b[32:]))
	return v, nil
}

// start binds the interaction to the browser that sent r.
func (in *Interaction) start(w http.ResponseWriter, r *http.Request) {
	s := in.server
	browser := s.bind(w, r)
	in.started = s.now().Truncate(time.Second)
	in.ID = s.seal.seal(visit{in.request.Locator, browser, in.started.Unix()}.bytes())
}

// Interaction returns the interaction that a later page of it belongs to: the
// one whose ID r carries, begun by the browser that sent r. It writes nothing.
// It reads the body as [http.Request.FormValue] does, at most 64 KiB unless the
// host has done so before; the host's own fields are in r.Form then.
// An [*Error] means that there is no such interaction any more, or not for
// this browser; anything else is an outage.
func (s *Server) Interaction(r *http.Request) (*Interaction, error) {
	in, err := s.resume(r)
	if err != nil {
		s.auditRefusal(r.Context(), Event{Endpoint: "interaction"}, asError(err))
		return nil, err
	}
	return in, nil
}

func (s *Server) resume(r *http.Request) (*Interaction, error) {
	if r.Body != nil && r.Form == nil {
		r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	}
	id := r.FormValue(interactionField)
	plain, err := s.seal.open(id)
	if err != nil {
		return nil, refuse("RFC6749-10.12-1", invalidRequest, "the interaction is malformed").because(err)
	}
	v, err := readVisit(plain)
	if err != nil {
		return nil, err
	}
	browser, ok := s.browser(r)
	if !ok || subtle.ConstantTimeCompare(browser[:], v.browser[:]) != 1 {
		return nil, refuse("RFC6749-10.12-1", invalidRequest, "the interaction was begun in another browser")
	}
	started := time.Unix(v.started, 0)
	if s.tooLate(started) {
		return nil, errTooLate
	}
	req, err := s.request(r.Context(), v.locator)
	if err != nil {
		return nil, err
	}
	c, err := s.shownClient(r.Context(), req.Client)
	if err != nil {
		return nil, err
	}
	in, err := s.interaction(c, req)
	if err != nil {
		return nil, err
	}
	in.ID, in.started = id, started
	return in, nil
}

var errTooLate = refuse("RFC9126-4-3", invalidRequestURI, "the interaction took too long")

// tooLate reports whether an interaction that began then has ended.
func (s *Server) tooLate(started time.Time) bool {
	return !s.now().Before(started.Add(s.config.InteractionLifetime))
}

// bind returns what stands for the browser that sent r, and gives it a cookie if
// it has none.
func (s *Server) bind(w http.ResponseWriter, r *http.Request) [16]byte {
	if browser, ok := s.browser(r); ok {
		return browser
	}
	value := randomText()
	http.SetCookie(w, &http.Cookie{
		Name: s.cookie, Value: value, Path: "/",
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return browserDigest(value)
}

// browser returns what stands for the browser that sent r, if it has been here
// before.
func (s *Server) browser(r *http.Request) (digest [16]byte, ok bool) {
	c := r.CookiesNamed(s.cookie)
	if len(c) != 1 || len(c[0].Value) != 43 {
		return digest, false
	}
	return browserDigest(c[0].Value), true
}

func browserDigest(cookie string) (d [16]byte) {
	sum := sha256.Sum256([]byte(cookie))
	copy(d[:], sum[:])
	return d
}

// cookieName returns the name of the issuer's cookie. Cookies ignore ports, so
// that two issuers on one host tell them apart by the name; __Host- keeps
// other hosts of the domain from planting one.
func cookieName(issuer string) string {
	sum := sha256.Sum256([]byte(issuer))
	return "__Host-aikagi-" + base64.RawURLEncoding.EncodeToString(sum[:6])
}
