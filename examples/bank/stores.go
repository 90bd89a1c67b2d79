package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store"
)

// A storePlan says where a bank keeps what it remembers, as a -config file has
// it. The zero storePlan is in memory.
type storePlan struct {
	sql    string             // URL of a database for sqlstore; "" if there is none
	redis  []string           // URLs for redisstore: of what keeps kinds, or of the only store
	kinds  string             // of what the database does not keep, if there are both
	sealed store.SealedConfig // without its Store; nothing is sealed if there are no Secrets
}

// outlives reports whether what is kept outlives the program.
func (p *storePlan) outlives() bool { return p.sql != "" || p.redis != nil }

// listed reports whether a customer's grants can be listed.
func (p *storePlan) listed() bool { return p.sql != "" || p.redis == nil }

// warnings says what is given up by this plan.
func (p *storePlan) warnings() (list []string) {
	if !p.listed() {
		list = append(list, "store: there is nothing but Redis: what it loses in a fail-over brings back grants that were ended and codes that were used, "+
			"and there is no page of connected services, since Redis does not list grants; keep them in a database, and in store_by_kind what may be lost")
	}
	if strings.Contains(p.kinds, "j") {
		list = append(list, "store_by_kind: what Redis loses of kind j in a fail-over lets whoever recorded an assertion or a proof use it once more, until it expires")
	}
	if strings.Contains(p.kinds, "d") {
		list = append(list, "store_by_kind: what Redis loses of kind d in a fail-over lets access tokens that were revoked go on until they expire")
	}
	return list
}

const (
	storeRemedy  = `write "memory", "sqlite:" and the path of a file, a URL that begins with postgres://, or one that begins with redis:// or rediss:// (for a cluster, a list of them)`
	kindsRemedy  = `give kinds, "r" or more of "rjd", and store, the URL of a Redis or a list of those of a cluster, and nothing else`
	sealRemedy   = "give secrets, a list of files of which the first seals, and tag_secret, a file, and nothing else"
	secretRemedy = "write one by: openssl rand -base64 32 > FILE"
)

// storePlan reads the members store, store_by_kind and seal. What is wrong with
// a URL is not said in its own words: it may be a part of the password.
func (c *configFile) storePlan() storePlan {
	p := c.store()
	if c.members["store_by_kind"] != nil {
		p.kinds, p.redis = c.storeByKind(p)
	}
	if c.members["seal"] != nil {
		p.sealed = c.seal(p)
	}
	return p
}

func (c *configFile) store() (p storePlan) {
	raw, ok := c.members["store"]
	if !ok {
		return p
	}
	urls, err := oneOrMore(raw)
	switch {
	case err != nil:
		c.bad("store", err.Error(), storeRemedy)
	case slices.Equal(urls, []string{"memory"}):
	case allRedis(urls):
		p.redis = urls
	case len(urls) > 1:
		c.bad("store", "is a list of more than URLs of Redis", storeRemedy)
	case strings.HasPrefix(urls[0], "sqlite:"):
		p.sql = c.sqlite(urls[0])
	case hasScheme(urls[0], "postgres", "postgresql"):
		p.sql = urls[0]
	default:
		c.bad("store", "is of no kind that the bank knows", storeRemedy)
	}
	return p
}

// oneOrMore reads a string, or a list of them.
func oneOrMore(raw json.RawMessage) ([]string, error) {
	var one string
	var list []string
	if json.Unmarshal(raw, &one) == nil && string(raw) != "null" {
		list = []string{one}
	} else if json.Unmarshal(raw, &list) != nil {
		return nil, errors.New("is neither a string nor a list of strings")
	}
	if len(list) == 0 || slices.Contains(list, "") {
		return nil, errors.New("is empty, or has an empty string")
	}
	return list, nil
}

func allRedis(urls []string) bool {
	return !slices.ContainsFunc(urls, func(u string) bool { return !hasScheme(u, "redis", "rediss") })
}

// hasScheme reports whether ref begins as a URL with one of these schemes does.
func hasScheme(ref string, schemes ...string) bool {
	scheme, rest, ok := strings.Cut(ref, "://")
	return ok && rest != "" && slices.Contains(schemes, scheme)
}

// sqlite returns ref with its path relative to the configuration, as all are.
func (c *configFile) sqlite(ref string) string {
	u, err := url.Parse(ref)
	if err != nil || u.Host != "" || u.RawQuery != "" || u.Fragment != "" {
		c.bad("store", "is no sqlite URL", storeRemedy)
		return ref
	}
	path := u.Path
	if u.Opaque != "" {
		path, err = url.PathUnescape(u.Opaque)
	}
	if err != nil || path == "" || strings.HasPrefix(path, ":") {
		c.bad("store", "is an sqlite URL without the path of a file", storeRemedy)
		return ref
	}
	absolute, err := filepath.Abs(c.path(path))
	if err != nil {
		c.bad("store", err.Error(), storeRemedy)
		return ref
	}
	return (&url.URL{Scheme: "sqlite", Path: absolute, OmitHost: true}).String()
}

// storeByKind reads which kinds of records are kept in Redis, and where that is.
func (c *configFile) storeByKind(p storePlan) (kinds string, urls []string) {
	const member = "store_by_kind"
	members, err := object(c.members[member])
	if err == nil && (len(members) != 2 || json.Unmarshal(members["kinds"], &kinds) != nil) {
		err = errors.New("has other members, or kinds is no string")
	}
	if err == nil {
		urls, err = oneOrMore(members["store"])
	}
	if err == nil {
		_, err = store.ByKind(new(store.Memory), new(store.Memory), kinds)
	}
	switch {
	case err != nil:
		c.bad(member, err.Error(), kindsRemedy)
	case !allRedis(urls):
		c.bad(member, "store has something else than URLs of Redis", kindsRemedy)
	case p.sql == "":
		c.bad(member, "is there without a database that keeps the rest", "name an sqlite or a postgres URL in store, or leave store_by_kind out")
	}
	return kinds, urls
}

// seal reads the keys that what is kept is encrypted with.
func (c *configFile) seal(p storePlan) (sealed store.SealedConfig) {
	const member = "seal"
	var secrets []string
	var tags string
	members, err := object(c.members[member])
	if err == nil && (len(members) != 2 || json.Unmarshal(members["secrets"], &secrets) != nil || json.Unmarshal(members["tag_secret"], &tags) != nil) {
		err = errors.New("has other members, or one of another type")
	}
	if err != nil {
		c.bad(member, err.Error(), sealRemedy)
		return sealed
	}
	if !p.outlives() {
		c.bad(member, "is there, but what is kept in memory has nothing to be sealed from", "name a database in store, or leave seal out")
	}
	known := len(c.errs)
	for _, name := range secrets {
		sealed.Secrets = append(sealed.Secrets, c.secret(member, name))
	}
	sealed.TagSecret = c.secret(member, tags)
	if len(c.errs) > known {
		return sealed
	}
	check := sealed
	check.Store = new(store.Memory)
	if _, _, err := store.Sealed(check); err != nil {
		c.bad(member, asSeal.Replace(err.Error()), sealRemedy)
	}
	return sealed
}

// asSeal gives what the library says about its SealedConfig the names of members.
var asSeal = strings.NewReplacer("store: ", "", " of Sealed", "", "Sealed without Secrets", "secrets is empty", "Secrets[", "secrets[", "TagSecret", "tag_secret")

// secret returns what the file called name has: random bytes, in base64.
func (c *configFile) secret(member, name string) []byte {
	if name == "" {
		c.bad(member, "names no file", secretRemedy)
		return nil
	}
	text := c.contents(member, name)
	if text == nil {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(b) < 32 {
		c.bad(member, c.path(name)+": is not 32 random bytes or more in base64", secretRemedy)
		return nil
	}
	return b
}

// secrets reads what the server's own secrets are, the first of which seals.
// Those that are made up end with the program, and so may not be what is kept
// beyond it rests on.
func (c *configFile) secrets(s *settings) (secrets [][]byte) {
	names := c.strings("secrets")
	for _, name := range names {
		if name != "" {
			secrets = append(secrets, c.secret("secrets", name))
		}
	}
	if names != nil && len(names) == 0 {
		c.bad("secrets", "is empty", "list a file, or leave the member out")
	}
	if !s.plan.outlives() {
		return secrets
	}
	const remedy = "give it, since what store keeps outlives the bank, and nothing that is made up does"
	for _, member := range []string{"keys", "secrets"} {
		if c.members[member] == nil {
			c.bad(member, "is missing", remedy)
		}
	}
	if s.clients != nil && c.members["pairwise_salt"] == nil &&
		slices.ContainsFunc(s.clients.All(), func(client *authz.Client) bool { return client.SubjectType == "pairwise" }) {
		c.bad("pairwise_salt", "is missing, and a client has subjects of its own", remedy)
	}
	return secrets
}
