package authz_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// TestClaimsParameter: what a client is told, by scope and by name, and where.
func TestClaimsParameter(t *testing.T) {
	type told = map[string]any
	address := told{"formatted": "千代田区\n東京都", "country": "JP"}
	for _, tt := range []struct {
		name, scope, claims string
		userInfo, idToken   told // beside sub and the claims of the protocol
	}{
		{"OIDC-CL-1 nothing", "openid", "", nil, nil},
		{"OIDC-CL-1 OIDC-CL-2 OIDC-UI-6 profile", "openid profile", "", told{
			"name": "鈴木 花子", "family_name": "鈴木", "given_name": "花子", "birthdate": "1985-04-01", "updated_at": float64(1767225600)}, nil},
		{"OIDC-CL-1 OIDC-CL-3 email", "openid email", "", told{"email": "hanako@mail.example", "email_verified": true}, nil},
		{"OIDC-CL-1 address", "openid address", "", told{"address": address}, nil},
		{"OIDC-CL-1 phone", "openid phone", "", told{"phone_number": "+81 3 1234 5678", "phone_number_verified": false}, nil},
		{"OIDC-CL-4 at userinfo", "openid", `{"userinfo":{"email":null}}`, told{"email": "hanako@mail.example"}, nil},
		{"OIDC-CL-4 in the ID token", "openid", `{"id_token":{"email":null}}`, nil, told{"email": "hanako@mail.example"}},
		{"OIDC-CL-2 in both, beside a scope", "openid phone", `{"userinfo":{"email":null},"id_token":{"given_name":null}}`,
			told{"email": "hanako@mail.example", "phone_number": "+81 3 1234 5678", "phone_number_verified": false}, told{"given_name": "花子"}},
		{"OIDC-CL-4 a third place", "openid", `{"somewhere":{"email":null},"userinfo":{"name":null}}`, told{"name": "鈴木 花子"}, nil},
		{"OIDC-CL-5 essential, and with members nobody knows", "openid", `{"userinfo":{"email":{"essential":true,"x":[1]},"name":{"essential":false}}}`,
			told{"email": "hanako@mail.example", "name": "鈴木 花子"}, nil},
		{"OIDC-CL-6 essential and unknown", "openid", `{"userinfo":{"shoe_size":{"essential":true}},"id_token":{"shoe_size":{"essential":true}}}`, nil, nil},
		{"OIDC-CL-6 OIDC-UI-6 OIDC-IT-12 essential and without value", "openid",
			`{"userinfo":{"nickname":{"essential":true},"website":null,"branches":null},"id_token":{"nickname":{"essential":true},"website":null,"branches":null}}`, nil, nil},
		{"OIDC-CL-7 the value that it has", "openid", `{"userinfo":{"email":{"value":"hanako@mail.example"}}}`, told{"email": "hanako@mail.example"}, nil},
		{"OIDC-CL-7 another value", "openid", `{"userinfo":{"email":{"value":"taro@mail.example"}},"id_token":{"email":{"value":"taro@mail.example"}}}`, nil, nil},
		{"OIDC-CL-7 one of several values", "openid", `{"id_token":{"email":{"values":["taro@mail.example","hanako@mail.example"]}}}`, nil, told{"email": "hanako@mail.example"}},
		{"OIDC-CL-7 none of several values", "openid", `{"id_token":{"email":{"values":["taro@mail.example",true,null,{}]}}}`, nil, nil},
		{"OIDC-CL-7 a value that is no string", "openid", `{"userinfo":{"email_verified":{"value":true},"phone_number_verified":{"value":true},"address":{"value":{"country":"JP","formatted":"千代田区\n東京都"}}}}`,
			told{"email_verified": true, "address": address}, nil},
		{"OIDC-CL-7 a value of a claim that a scope asks for", "openid email", `{"userinfo":{"email":{"value":"taro@mail.example"}}}`, told{"email_verified": true}, nil},
		{"OIDC-AR-28 the value in escapes", "openid", `{"userinfo":{"email":{"value":"h\u0061nako@mail.example"}}}`, told{"email": "hanako@mail.example"}, nil},
		{"OIDC-AR-28 the value in another normal form", "openid", `{"userinfo":{"family_name#ja-Kana-JP":{"value":"スス\u3099キ"}}}`, nil, nil},
		{"OIDC-CL-12 in a language", "openid", `{"userinfo":{"family_name#ja-Kana-JP":null}}`, told{"family_name#ja-Kana-JP": "スズキ"}, nil},
		{"OIDC-CL-12 in letters of other case", "openid", `{"id_token":{"family_name#JA-kana-jp":null}}`, nil, told{"family_name#ja-Kana-JP": "スズキ"}},
		{"OIDC-CL-12 in a language that has more particular forms", "openid", `{"userinfo":{"family_name#ja":null}}`,
			told{"family_name#ja-Kana-JP": "スズキ", "family_name#ja-Hani-JP": "鈴木"}, nil},
		{"OIDC-CL-12 in a language that begins alike", "openid", `{"userinfo":{"family_name#j":null,"name#ja-Kan":null}}`, told{"family_name": "鈴木", "name": "鈴木 花子"}, nil},
		{"OIDC-CL-12 in a language where there is one", "openid", `{"userinfo":{"given_name#ja-Kana-JP":null}}`, told{"given_name": "花子"}, nil},
		{"OIDC-UI-2 what the protocol says nobody else says", "openid", `{"userinfo":{"iss":null,"aud":{"value":"evil"},"exp":null,"sub":null},"id_token":{"nonce":{"value":"x"},"aud":null,"at_hash":null}}`, nil, nil},
		{"OIDC-CL-11 without openid there is nobody to tell", "accounts", `{"userinfo":{"email":null},"id_token":{"email":null}}`, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo").reader()
			b := newBank(t, clients(f), telling(hanako()))
			tokens := f.tokensFor(b, changed(changed(f.pushable(), "scope", tt.scope), "claims", tt.claims), nil)
			if !strings.Contains(tt.scope, "openid") {
				if tokens["id_token"] != nil {
					t.Errorf("there is an ID token")
				}
				return
			}
			info := f.info(b, tokens["access_token"].(string), nil)
			id := claimsOf(t, tokens["id_token"].(string))
			if info["sub"] != customer || id["sub"] != customer || id["aud"] != f.ID || id["nonce"] != "n-0S6_WzA2Mj" {
				t.Errorf("%v %v", info, id)
			}
			delete(info, "sub")
			for _, name := range []string{"iss", "sub", "aud", "iat", "exp", "nonce", "acr", "amr", "auth_time", "at_hash"} {
				delete(id, name)
			}
			for place, pair := range map[string][2]told{"userinfo": {tt.userInfo, info}, "the ID token": {tt.idToken, id}} {
				want := pair[0]
				if want == nil {
					want = told{}
				}
				if d := cmp.Diff(want, pair[1]); d != "" {
					t.Errorf("%s: %s", place, d)
				}
			}
		})
	}
}

// TestClaimsMalformed: nothing is guessed.
func TestClaimsMalformed(t *testing.T) {
	f := keyClient("kakeibo").reader()
	b := newBank(t, clients(f), telling(hanako()))
	for name, claims := range map[string]string{
		"OIDC-CL-4 no JSON":                     "not-json",
		"OIDC-CL-4 an array":                    `[]`,
		"OIDC-CL-4 null":                        `null`,
		"OIDC-CL-4 more than one object":        `{}{}`,
		"OIDC-CL-4 a name twice":                `{"userinfo":{"email":null,"email":{"value":"x"}}}`,
		"OIDC-CL-4 a place twice":               `{"userinfo":{},"userinfo":{}}`,
		"OIDC-CL-4 a name in two cases":         `{"userinfo":{"email":null,"Email":null}}`,
		"OIDC-CL-4 userinfo is no object":       `{"userinfo":["email"]}`,
		"OIDC-CL-4 id_token is no object":       `{"id_token":null}`,
		"OIDC-CL-4 depth":                       strings.Repeat(`{"userinfo":`, 40) + "{}" + strings.Repeat("}", 40),
		"OIDC-CL-4 length":                      `{"x":"` + strings.Repeat("x", 16<<10) + `"}`,
		"OIDC-CL-4 depth of what is kept":       `{"userinfo":{"email":{"value":` + strings.Repeat("[", 29) + strings.Repeat("]", 29) + `}}}`,
		"OIDC-CL-4 length of what is kept":      `{"userinfo":{"family_name#ja":{"value":"` + strings.Repeat("x", 9<<10) + `"}}}`,
		"OIDC-CL-5 a claim is true":             `{"userinfo":{"email":true}}`,
		"OIDC-CL-5 a claim is a string":         `{"id_token":{"email":"x"}}`,
		"OIDC-CL-5 essential is a string":       `{"userinfo":{"email":{"essential":"true"}}}`,
		"OIDC-CL-5 essential is null":           `{"userinfo":{"email":{"essential":null}}}`,
		"OIDC-CL-5 values is a string":          `{"userinfo":{"email":{"values":"x"}}}`,
		"OIDC-CL-5 values is an object":         `{"userinfo":{"email":{"values":{}}}}`,
		"OIDC-CL-5 values is null":              `{"userinfo":{"email":{"values":null}}}`,
		"OIDC-CL-5 values is empty":             `{"userinfo":{"email":{"values":[]}}}`,
		"OIDC-CL-5 an acr that is no string":    `{"id_token":{"acr":{"value":1}}}`,
		"OIDC-CL-5 an acr that is empty":        `{"id_token":{"acr":{"values":["urn:a",""]}}}`,
		"OIDC-CL-5 a sub that is no string":     `{"id_token":{"sub":{"value":["u-1"]}}}`,
		"OIDC-AR-19 one of two customers":       `{"id_token":{"sub":{"values":["u-1","u-2"]}}}`,
		"OIDC-AR-19 another customer elsewhere": `{"id_token":{"sub":{"value":"u-1"}},"userinfo":{"sub":{"value":"u-2"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			rule, _, _ := strings.Cut(name, " ")
			if rule == "OIDC-CL-5" && !strings.Contains(name, "acr") && !strings.Contains(name, "sub") {
				rule = "OIDC-CL-4"
			}
			mustRefuse(t, b, b.do(f.request("/par", f.authenticate(b, changed(f.pushable(), "claims", claims)))), 400, "invalid_request", rule)
		})
	}
}

// TestClaimsLarge: claims that mean more than they say fit no record beside a
// state that is as long.
func TestClaimsLarge(t *testing.T) {
	t.Run("RFC9126-2.3-5 OIDC-CL-12 more than a record holds", func(t *testing.T) {
		f := keyClient("kakeibo").reader()
		b := newBank(t, clients(f), telling(hanako()))
		v := changed(f.pushable(), "claims", `{"userinfo":{"family_name#ja":{"value":"`+strings.Repeat("x", 7<<10)+`"}}}`)
		f.push(b, v)
		mustRefuse(t, b, b.do(f.request("/par", f.authenticate(b, changed(v, "state", strings.Repeat("s", 55<<10))))), 413, "invalid_request", "RFC9126-2.3-5")
	})
}

// TestClaimsConsent: the customer is shown what is asked, and what they keep
// back stays with the bank.
func TestClaimsConsent(t *testing.T) {
	const claims = `{"userinfo":{"email":null,"shoe_size":null,"family_name#ja":null},"id_token":{"email":null,"given_name":null,"acr":null}}`
	f := keyClient("kakeibo").reader()
	asked := []string{"email", "family_name#ja-Hani-JP", "family_name#ja-Kana-JP", "given_name"}
	v := func() map[string][]string { return changed(f.pushable(), "claims", claims) }

	t.Run("OIDC-AR-24 what is asked", func(t *testing.T) {
		_, br, id := started(t, f, v(), telling(hanako()))
		in, err := br.resume(id)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(asked, in.Claims); d != "" {
			t.Error(d)
		}
	})
	t.Run("OIDC-CL-11 nothing is asked without openid", func(t *testing.T) {
		_, br, id := started(t, f, changed(v(), "scope", "accounts"), telling(hanako()))
		if in, err := br.resume(id); err != nil || len(in.Claims) > 0 {
			t.Errorf("%v, %v", in, err)
		}
	})
	for _, tt := range []struct {
		name     string
		approved []string
		userInfo []string
		idToken  []string
	}{
		{"OIDC-AR-24 all of it", nil, []string{"email", "family_name#ja-Hani-JP", "family_name#ja-Kana-JP", "sub"}, []string{"email", "given_name"}},
		{"OIDC-AR-24 some of it", []string{"given_name", "family_name#ja-Kana-JP"}, []string{"family_name#ja-Kana-JP", "sub"}, []string{"given_name"}},
		{"OIDC-AR-24 none of it", []string{}, []string{"sub"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, br, id := started(t, f, v(), telling(hanako()))
			d := b.approval()
			d.Claims = tt.approved
			w, err := br.finish(id, d)
			if err != nil {
				t.Fatal(err)
			}
			_, tokens := f.token(b, f.redeemable(location(t, w.Result()).Get("code")))
			if e := b.lastEvent(); e.Kind != "tokens_issued" || !slices.Equal(e.Claims, tt.idToken) {
				t.Errorf("the operator is told %+v", e)
			}
			var got []string
			for name := range f.info(b, tokens["access_token"].(string), nil) {
				got = append(got, name)
			}
			slices.Sort(got)
			if d := cmp.Diff(tt.userInfo, got); d != "" {
				t.Errorf("userinfo: %s", d)
			}
			said := claimsOf(t, tokens["id_token"].(string))
			for _, name := range asked {
				if has := said[name] != nil; has != slices.Contains(tt.idToken, name) {
					t.Errorf("the ID token has %s: %t", name, has)
				}
			}
		})
	}
	t.Run("RFC9700-4.14.2-1 more than was asked", func(t *testing.T) {
		b, br, id := started(t, f, v(), telling(hanako()))
		for _, more := range []string{"phone_number", "family_name", "shoe_size", "acr"} {
			d := b.approval()
			d.Claims = []string{"email", more}
			w, err := br.finish(id, d)
			if !is(err, "invalid_scope") {
				t.Errorf("%s: %v", more, err)
			}
			untouched(t, w)
		}
	})
	t.Run("OIDC-CL-1 what the host no longer knows it is not asked", func(t *testing.T) {
		b := newBank(t, clients(f), telling(hanako()))
		access := f.tokensFor(b, v(), nil)["access_token"].(string)
		b2 := newBank(t, clients(f), telling(hanako()), func(c *authz.Config) { c.Store, c.ClaimNames = b.config.Store, []string{"name"} })
		if d := cmp.Diff(map[string]any{"sub": customer}, f.info(b2, access, nil)); d != "" {
			t.Error(d)
		}
	})
	t.Run("OIDC-AR-24 OIDC-CL-12 what it knows in its place was not consented to", func(t *testing.T) {
		b := newBank(t, clients(f), telling(hanako()))
		access := f.tokensFor(b, changed(f.pushable(), "claims", `{"userinfo":{"family_name#ja-Kana-JP":null}}`), nil)["access_token"].(string)
		b2 := newBank(t, clients(f), telling(hanako()), func(c *authz.Config) { c.Store, c.ClaimNames = b.config.Store, []string{"family_name"} })
		if d := cmp.Diff(map[string]any{"sub": customer}, f.info(b2, access, nil)); d != "" {
			t.Error(d)
		}
	})
}

// TestClaimsHook: the host learns for whom and for what it is asked, and only
// when something is.
func TestClaimsHook(t *testing.T) {
	f := keyClient("kakeibo").reader()
	f.SubjectType = "pairwise"
	var mu sync.Mutex
	var asked []authz.ClaimsRequest
	b := newBank(t, clients(f), telling(hanako()), func(c *authz.Config) {
		c.Pairwise = []byte("a salt that never changes, of 32 bytes or more")
		c.Claims = func(_ context.Context, r authz.ClaimsRequest) (map[string]any, error) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, r)
			return map[string]any{"email": "hanako@mail.example", "name": "not asked", "sub": "evil", "iss": "evil"}, nil
		}
	})
	tokens := f.tokensFor(b, f.pushable(), nil)
	f.info(b, tokens["access_token"].(string), nil)
	if asked != nil {
		t.Errorf("it is asked for nothing: %+v", asked)
	}
	v := changed(changed(f.pushable(), "scope", "openid phone"), "claims", `{"userinfo":{"email":null,"phone_number":null},"id_token":{"email":{"essential":true}}}`)
	tokens = f.tokensFor(b, v, nil)
	grant := b.lastEvent().Grant
	info := f.info(b, tokens["access_token"].(string), nil)
	want := []authz.ClaimsRequest{
		{Client: f.Client, Subject: customer, GrantID: grant, Names: []string{"email"}},
		{Client: f.Client, Subject: customer, GrantID: grant, Names: []string{"email", "phone_number", "phone_number_verified"}},
	}
	t.Run("OIDC-CL-1 who, for whom, what", func(t *testing.T) {
		if d := cmp.Diff(want, asked); d != "" {
			t.Error(d)
		}
	})
	t.Run("OIDC-UI-2 OIDC-CL-2 what it says beside that is not told", func(t *testing.T) {
		id := claimsOf(t, tokens["id_token"].(string))
		if d := cmp.Diff(map[string]any{"sub": id["sub"], "email": "hanako@mail.example"}, info); d != "" {
			t.Error(d)
		}
		if id["name"] != nil || id["iss"] != issuer || id["sub"] == "evil" || id["sub"] == customer {
			t.Errorf("%v", id)
		}
	})
	t.Run("OIDC-CL-6 a host that fails does not burn the code", func(t *testing.T) {
		down := true
		b := newBank(t, clients(f), telling(hanako()), func(c *authz.Config) {
			c.Pairwise = []byte("a salt that never changes, of 32 bytes or more")
			c.Claims = func(context.Context, authz.ClaimsRequest) (map[string]any, error) { return hanako(), failing(down) }
		})
		code := f.codeFor(b, v, nil)
		if status, got := f.token(b, f.redeemable(code)); status != 503 || got["error"] != "server_error" {
			t.Errorf("%d %v", status, got)
		}
		down = false
		if status, got := f.token(b, f.redeemable(code)); status != 200 {
			t.Errorf("%d %v", status, got)
		}
	})
}

// TestClaimsConfig: nothing is set that does nothing, and no claim of the
// protocol is the host's.
func TestClaimsConfig(t *testing.T) {
	for _, tt := range []struct {
		name string
		with func(*authz.Config)
		want int // violations
	}{
		{"good", func(*authz.Config) {}, 0},
		{"names without Claims", func(c *authz.Config) { c.Claims = nil }, 1},
		{"Claims without names", func(c *authz.Config) { c.ClaimNames = nil }, 1},
		{"neither", func(c *authz.Config) { c.Claims, c.ClaimNames = nil, nil }, 0},
		{"OIDC-AR-2 no openid", func(c *authz.Config) { c.Scopes = []string{"accounts"} }, 1},
		{"no pages", func(c *authz.Config) { c.Interact = nil }, 1},
		{"OIDC-UI-2 sub", func(c *authz.Config) { c.ClaimNames = []string{"name", "sub"} }, 1},
		{"OIDC-UI-5 exp and nonce", func(c *authz.Config) { c.ClaimNames = []string{"exp", "nonce"} }, 2},
		{"OIDC-UI-4 iss in other case", func(c *authz.Config) { c.ClaimNames = []string{"ISS"} }, 1},
		{"twice", func(c *authz.Config) { c.ClaimNames = []string{"name", "email", "Name"} }, 1},
		{"no names at all", func(c *authz.Config) { c.ClaimNames = []string{"", "#ja", "a b", "名"} }, 4},
		{"OIDC-SU-2 a short salt", func(c *authz.Config) { c.Pairwise = make([]byte, 31) }, 1},
		{"OIDC-SU-2 an empty salt", func(c *authz.Config) { c.Pairwise = []byte{} }, 1},
		{"OIDC-SU-2 a salt", func(c *authz.Config) { c.Pairwise = make([]byte, 32) }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBank(t, nil, telling(hanako()))
			tt.with(&b.config)
			_, err := authz.New(b.config)
			var got []string
			if err != nil {
				got = rules(t, err)
			}
			if len(got) != tt.want {
				t.Errorf("%d violations, want %d: %v", len(got), tt.want, err)
			}
		})
	}
	t.Run("OIDD-4 RFC8414-I-1 they are advertised, and asked for by name", func(t *testing.T) {
		f := keyClient("kakeibo").reader()
		b := newBank(t, clients(f), telling(hanako()))
		m := object(t, b.do(get(issuer+wellKnown)))
		if m["claims_parameter_supported"] != true {
			t.Errorf("claims_parameter_supported is %v", m["claims_parameter_supported"])
		}
		var ask []string
		for _, name := range m["claims_supported"].([]any) {
			ask = append(ask, `"`+name.(string)+`":null`)
		}
		all := "{" + strings.Join(ask, ",") + "}"
		tokens := f.tokensFor(b, changed(f.pushable(), "claims", `{"userinfo":`+all+`,"id_token":`+all+`}`), nil)
		info, id := f.info(b, tokens["access_token"].(string), nil), claimsOf(t, tokens["id_token"].(string))
		for _, name := range m["claims_supported"].([]any) {
			empty := slices.Contains([]string{"nickname", "website", "branches"}, name.(string))
			if has := id[name.(string)] != nil; has == empty {
				t.Errorf("the ID token has %s: %t", name, has)
			}
			if has := info[name.(string)] != nil; has == empty && !slices.Contains([]string{"auth_time", "acr", "amr"}, name.(string)) {
				t.Errorf("userinfo has %s: %t", name, has)
			}
		}
	})
}
