package authz

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

// What an [Event.Kind] says.
const (
	requestPushed  = "request_pushed"
	requestShown   = "request_shown"
	grantApproved  = "grant_approved"
	grantDenied    = "grant_denied"
	tokensIssued   = "tokens_issued"
	grantRevoked   = "grant_revoked"
	tokenRevoked   = "token_revoked"
	tokenUnknown   = "token_unknown"
	tokenInspected = "token_introspected"
	claimsTold     = "claims_told"
	logoutShown    = "logout_shown"
	logoutFinished = "logout_finished"
	logoutNotified = "logout_notified"

	withdrawalNotified = "withdrawal_notified"

	requestRefused = "request_refused"
	requestFailed  = "request_failed"
)

// An Event tells an operator one thing that happened, and for a refusal the
// row of the specifications it rests on. What is not known or does not apply is
// empty. It is made of names, digests and the
// library's own words: the engine puts no code, handle, token, assertion or
// proof into one.
type Event struct {
	// Kind says what happened:
	//
	//	request_pushed   an authorization request was accepted (RFC 9126)
	//	request_shown    a browser asked for the first page of one
	//	grant_approved   the customer approved, be it a change of an earlier
	//	                 Grant, and a code was issued
	//	grant_denied     the customer or the bank denied
	//	tokens_issued    an access token was issued, see GrantType
	//	grant_revoked    a grant and all its tokens ended
	//	token_revoked    an access token ended, and its grant did not
	//	token_unknown    a client wanted to revoke what is no token
	//	token_introspected
	//	                 somebody asked about a token; with Reason, was told
	//	                 that it is inactive
	//	claims_told      a client was told of its customer at userinfo, see Claims
	//	logout_shown     a client asked that the customer be logged out
	//	logout_finished  the browser went back to it
	//	logout_notified  a client was told that a session ended
	//	withdrawal_notified
	//	                 a client was told that its customer withdrew a consent
	//	request_refused  the protocol said no
	//	request_failed   the server could not do its work
	Kind      string
	Time      time.Time // by Config.Now
	Issuer    string    // of the server, Config.Issuer
	Endpoint  string    // such as "token"
	Client    string    // client_id; as claimed, until the client is authenticated
	Subject   string    // the customer, or the client where it acts for itself
	Grant     string    // the public grant id
	GrantType string    // of a token request
	Scopes    []string  // asked for, or granted

	// DetailsTypes are the types of the authorization_details asked for, or
	// granted (RFC 9396). What these say may be personal and is not told.
	DetailsTypes []string
	Claims       []string // names of what the client was told of the customer, there or in an ID token

	Certificate string // x5t#S256 of the client's certificate (RFC 8705, 3.1)
	Key         string // jkt of the client's proof key (RFC 9449, 6.1)
	Token       string // jti of the access token issued, revoked or asked about

	// Waived are the rows that the client, its request or the server's settings
	// break, which Config.Waivers allows or, for these settings, allowed.
	Waived []string

	Code   Code   // what the client was told, if it was refused
	Rule   string // the row that the refusal rests on
	Reason string // why, in words for the operator
}

// LogValue returns the members that are set, so that an Event can be logged.
func (e Event) LogValue() slog.Value {
	a := make([]slog.Attr, 0, 12)
	add := func(name, v string) {
		if v != "" {
			a = append(a, slog.String(name, v))
		}
	}
	add("kind", e.Kind)
	add("issuer", e.Issuer)
	add("endpoint", e.Endpoint)
	add("client", e.Client)
	add("subject", e.Subject)
	add("grant", e.Grant)
	add("grant_type", e.GrantType)
	add("scope", strings.Join(e.Scopes, " "))
	add("authorization_details_types", strings.Join(e.DetailsTypes, " "))
	add("claims", strings.Join(e.Claims, " "))
	add("certificate", e.Certificate)
	add("key", e.Key)
	add("token", e.Token)
	add("waived", strings.Join(e.Waived, " "))
	add("code", string(e.Code))
	add("rule", e.Rule)
	add("reason", e.Reason)
	return slog.GroupValue(a...)
}

// LogEvents returns a function for [Config.Audit] that writes events to log:
// failures as errors, refusals as warnings, the rest as information. Log must
// not be nil.
func LogEvents(log *slog.Logger) func(context.Context, Event) {
	return func(ctx context.Context, e Event) {
		level := slog.LevelInfo
		switch e.Kind {
		case requestFailed:
			level = slog.LevelError
		case requestRefused:
			level = slog.LevelWarn
		}
		log.LogAttrs(ctx, level, "aikagi", slog.Any("event", e))
	}
}
