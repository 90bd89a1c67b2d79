package main

import "github.com/aikagi/aikagi/token"

// keys returns what the bank signs with: the private JWKS that the file names,
// or keys made up for this run.
func (c *configFile) keys() token.KeySet {
	keys, err := newKeys()
	if err != nil {
		c.bad("keys", err.Error(), "try again")
	}
	return keys
}
