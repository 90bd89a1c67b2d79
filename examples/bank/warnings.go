package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

// forPeople is client metadata that tells people something and the bank
// nothing (RFC 7591, 2).
var forPeople = []string{"client_name", "client_uri", "logo_uri", "contacts", "tos_uri", "policy_uri", "software_id", "software_version"}

// warnings says what the store of a -config file gives up, which clients will be
// refused, and what of the others will not do what somebody may expect.
func (b *bank) warnings(ctx context.Context) (list []string) {
	clients := slices.SortedFunc(slices.Values(b.clients.All()), func(x, y *authz.Client) int { return cmp.Compare(x.ID, y.ID) })
	list = append(list, b.plan.warnings()...)
	for _, w := range b.waivers {
		for _, id := range w.Clients {
			if _, err := b.clients.Client(ctx, id); err != nil && id != "*" {
				list = append(list, fmt.Sprintf("a waiver of %s names client %q, which is not there", w.Rule, id))
			}
		}
	}
	for _, c := range clients {
		if err := b.as.CheckClient(c); err != nil {
			list = append(list, fmt.Sprintf("client %q will be refused: %s", c.ID, asMembers.Replace(err.Error())))
		}
		for _, what := range slices.Concat(unknownMembers(c), b.notOffered(c), b.notSigned(ctx, c)) {
			list = append(list, fmt.Sprintf("client %q: %s", c.ID, what))
		}
	}
	return list
}

// unknownMembers finds slips of the pen: members of a client that mean nothing
// here, and without which it may be served otherwise than was meant.
func unknownMembers(c *authz.Client) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(c.Metadata)) {
		if plain, _, _ := strings.Cut(name, "#"); !slices.Contains(forPeople, plain) {
			list = append(list, fmt.Sprintf("%q is not a member that the bank knows; it changes nothing", name))
		}
	}
	return list
}

// notOffered finds what a client registered and can never get.
func (b *bank) notOffered(c *authz.Client) (list []string) {
	for _, scope := range strings.Fields(c.Scope) {
		if !slices.Contains(b.scopes, scope) {
			list = append(list, fmt.Sprintf("scope has %q; offer it in scopes, too", scope))
		}
	}
	for _, name := range c.DetailsTypes {
		if !slices.ContainsFunc(b.details, func(t authz.DetailsType) bool { return t.Name == name }) {
			list = append(list, fmt.Sprintf("authorization_details_types has %q; offer it in authorization_details_types of the bank, too", name))
		}
	}
	return list
}

// notSigned finds algorithms that a client registered and for which the bank
// has no key: it could send the client nothing.
func (b *bank) notSigned(ctx context.Context, c *authz.Client) (list []string) {
	for _, m := range []struct{ name, alg string }{
		{"authorization_signed_response_alg", c.ResponseAlg},
		{"id_token_signed_response_alg", c.IDTokenAlg},
		{"introspection_signed_response_alg", c.IntrospectionAlg},
		{"userinfo_signed_response_alg", c.UserInfoAlg},
	} {
		if m.alg == "" {
			continue
		}
		if _, err := b.keys.SigningKey(ctx, m.alg); errors.Is(err, token.ErrNoKey) {
			list = append(list, fmt.Sprintf("%s is %q; give the bank a key for it in keys", m.name, m.alg))
		}
	}
	return list
}
