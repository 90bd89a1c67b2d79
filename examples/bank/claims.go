package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/aikagi/aikagi/authz"
)

// claimNames returns what the bank knows about any customer.
func (s *settings) claimNames() []string {
	var names []string
	for i := range s.users {
		for name := range s.users[i].claims {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// claims tells what the bank knows about a customer, as far as it was asked.
func (b *bank) claims(_ context.Context, asked authz.ClaimsRequest) (map[string]any, error) {
	u := b.user(asked.Subject)
	if u == nil {
		return nil, nil
	}
	known := make(map[string]any)
	for _, name := range asked.Names {
		raw, ok := u.claims[name]
		if !ok {
			continue
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, fmt.Errorf("claim %q of a user: %w", name, err)
		}
		known[name] = v
	}
	return known, nil
}

// salt returns what subjects of pairwise clients are made with: what the file
// says, or a salt for this run.
func (c *configFile) salt() []byte {
	salt := []byte(c.string("pairwise_salt"))
	if len(salt) == 0 {
		salt = make([]byte, 32)
		rand.Read(salt)
	}
	if len(salt) < 32 {
		c.bad("pairwise_salt", fmt.Sprintf("has %d bytes", len(salt)), "give 32 random bytes or more, in some writing, and never change them")
	}
	return salt
}
