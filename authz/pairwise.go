package authz

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/url"
	"strconv"
	"strings"
)

const (
	subjectPublic   = "public"
	subjectPairwise = "pairwise"
)

// subject returns the sub by which client c knows a customer (OpenID Connect
// Core, 8). It is the same in everything that concerns the client: ID tokens,
// userinfo, access tokens, which the client could read, and hints. An API
// finds the customer of a pairwise client by the grant id.
func (s *Server) subject(c *Client, customer string) string {
	if c.SubjectType != subjectPairwise {
		return customer
	}
	sector, err := c.sector()
	if err != nil {
		panic("authz: client without sector was served") // fit has checked it
	}
	mac := hmac.New(sha256.New, s.config.Pairwise)
	for _, part := range [...]string{s.config.Issuer, sector, customer} { // each after its length, so that no two lists are alike
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// sector returns the client's sector identifier: the host of its
// sector_identifier_uri, or the one host of all its redirect_uris (OpenID
// Connect Core, 8.1). That the URI lists the redirect_uris is found out when a
// client registers, and not again (OpenID Connect Registration, 5).
func (c *Client) sector() (string, error) {
	if uri := c.SectorIdentifierURI; uri != "" {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			return "", errors.New("sector_identifier_uri is " + strconv.Quote(uri))
		}
		return strings.ToLower(u.Hostname()), nil
	}
	sector := ""
	for _, uri := range c.RedirectURIs {
		u, err := url.Parse(uri)
		if err != nil || u.Hostname() == "" || loopback(uri) { // every native client has a loopback
			return "", errors.New("redirect_uris has " + strconv.Quote(uri))
		}
		host := strings.ToLower(u.Hostname())
		if sector != "" && sector != host {
			return "", errors.New("redirect_uris have several hosts")
		}
		sector = host
	}
	if sector == "" {
		return "", errors.New("redirect_uris is missing")
	}
	return sector, nil
}

// checkSubjectType returns what keeps c from having the subjects it registered
// for.
func (s *Server) checkSubjectType(c *Client) (v Violations) {
	switch c.SubjectType {
	case "", subjectPublic, subjectPairwise:
	default:
		v = append(v, Violation{"OIDC-SU-1", "subject_type is " + strconv.Quote(c.SubjectType), "register public or pairwise"})
	}
	if c.SubjectType == subjectPairwise && s.config.Pairwise == nil {
		v = append(v, Violation{"OIDC-SU-1", "subject_type is pairwise", "set Config.Pairwise"})
	}
	if c.SectorIdentifierURI == "" && c.SubjectType != subjectPairwise {
		return v
	}
	if _, err := c.sector(); err != nil {
		rule := "OIDC-SU-3"
		if c.SectorIdentifierURI != "" {
			rule = "OIDC-SU-4"
		}
		v = append(v, Violation{rule, err.Error(), "register an https sector_identifier_uri, or redirect_uris of one host"})
	}
	return v
}
