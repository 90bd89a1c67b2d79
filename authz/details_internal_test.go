package authz

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/internal/jose"
)

// detailsServer knows two APIs, one below the other, and one type.
func detailsServer() *Server {
	return &Server{config: Config{
		Resources: []Resource{
			{ID: "https://api.bank.example", DetailsTypes: []string{"a"}},
			{ID: "https://api.bank.example/cards/", DetailsTypes: []string{"a"}},
		},
		DetailsTypes: []DetailsType{{Name: "a", Fields: []string{"locations", "actions", "datatypes", "privileges", "identifier", "x"}}},
	}}
}

// FuzzDetails: what is read from a stranger is within the limits, is in one
// form, and reads the same wherever it is written.
func FuzzDetails(f *testing.F) {
	for _, text := range []string{
		`[{"type":"a"}]`,
		` [ {"type":"a","x":{"b":[1,2.50,-0e1,null,true]}} , {"x":"caf\u00e9","type":"a"} ] `,
		`[{"type":"a","locations":["https://api.bank.example/cards/1"],"actions":["r"],"datatypes":["d"],"privileges":["p"],"identifier":"i"}]`,
		`[{"type":"a","x":"\ud83d\ude00"}]`,
		`[{"type":"a","x":"` + "\xff" + `"}]`,
		`[{"type":"a","x":"\ud800"}]`,
		`[{"type":"a","type":"a"}]`,
		`[{"type":"a","x":` + strings.Repeat("[", 28) + strings.Repeat("]", 28) + `}]`,
		`[{"type":"a","x":` + strings.Repeat(`{"x":`, 40) + "1" + strings.Repeat("}", 40) + `}]`,
		`[{"type":"a"}],"authorization_details":[]`,
		`[]`, `null`, `{}`, `["a"]`, strings.Repeat("[", 9000),
	} {
		f.Add(text)
	}
	s := detailsServer()
	f.Fuzz(func(t *testing.T, text string) {
		ds, err := s.parseDetails(text)
		if err != nil {
			if e := (*Error)(nil); ds != nil || !asRefusal(err, &e) || e.Code != invalidAuthorizationDetails {
				t.Fatalf("%v and %v", ds, err)
			}
			return
		}
		if len(ds) == 0 || len(ds) > maxElements || len(ds.array()) > maxDetails+1 {
			t.Fatalf("%d elements, %d bytes", len(ds), len(ds.array()))
		}
		again, err := s.parseDetails(string(ds.array()))
		if err != nil || !slices.Equal(again.texts(), ds.texts()) {
			t.Fatalf("written and read again: %q and %q, %v", ds.texts(), again.texts(), err)
		}
		if !slices.Equal(s.held(ds.texts()).texts(), ds.texts()) {
			t.Error("a record would lose one")
		}
		for _, d := range ds {
			if !sameJSON(d.text, d.text) || !ds.cover(d) {
				t.Errorf("%s is not within itself", d.text)
			}
			if !s.concern(details{d}, s.config.Resources[0].ID) && !s.concern(details{d}, s.config.Resources[1].ID) {
				t.Errorf("%s is for no API", d.text)
			}
		}
		if _, err := jose.ParseClaims([]byte(`{"authorization_details":` + string(ds.array()) + `}`)); err != nil {
			t.Errorf("a token could not be read: %v", err)
		}
	})
}

func asRefusal(err error, e **Error) bool {
	r, ok := err.(*Error)
	*e = r
	return ok
}

// TestSameJSON: equal as values and in no other way.
func TestSameJSON(t *testing.T) {
	for _, tt := range []struct {
		name, a, b string
		want       bool
	}{
		{"RFC9396-12-3 an escape and its character", `{"a":"\u00e9"}`, `{"a":"é"}`, true},
		{"RFC9396-12-3 an escaped slash", `{"a":"\/"}`, `{"a":"/"}`, true},
		{"RFC9396-6.1-1 members in another order", `{"a":1,"b":{"c":2,"d":3}}`, ` {"b":{"d":3,"c":2},"a":1}`, true},
		{"RFC9396-12-3 composed and decomposed", `{"a":"é"}`, `{"a":"e` + "\u0301" + `"}`, false},
		{"RFC9396-12-3 a letter and its full width", `{"a":"A"}`, `{"a":"Ａ"}`, false},
		{"RFC9396-12-3 case", `{"a":"A"}`, `{"a":"a"}`, false},
		{"RFC9396-12-3 a space at the end", `{"a":"A"}`, `{"a":"A "}`, false},
		{"RFC9396-6.1-1 a number and a text", `{"a":1}`, `{"a":"1"}`, false},
		{"RFC9396-6.1-1 numbers that a float64 cannot tell apart", `{"a":9007199254740993}`, `{"a":9007199254740992}`, false},
		{"RFC9396-6.1-1 null and nothing", `{"a":null}`, `{}`, false},
		{"RFC9396-6.1-1 an empty array and null", `{"a":[]}`, `{"a":null}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if sameJSON(tt.a, tt.b) != tt.want || sameJSON(tt.b, tt.a) != tt.want {
				t.Errorf("%s and %s: want %t", tt.a, tt.b, tt.want)
			}
		})
	}
}

// TestLocate: at which API a location is.
func TestLocate(t *testing.T) {
	s := detailsServer()
	for location, want := range map[string]string{
		"https://api.bank.example":            "https://api.bank.example",
		"https://api.bank.example/":           "https://api.bank.example",
		"https://api.bank.example/cards":      "https://api.bank.example",
		"https://api.bank.example?x=1":        "https://api.bank.example",
		"https://api.bank.example/cards/":     "https://api.bank.example/cards/",
		"https://api.bank.example/cards/1?x":  "https://api.bank.example/cards/",
		"https://api.bank.example:8443/":      "",
		"https://api.bank.example.evil/":      "",
		"https://api.bank.example@evil.test/": "",
		"https://API.bank.example/":           "",
		"http://api.bank.example/":            "",
		"/cards/1":                            "",
		"":                                    "",
	} {
		t.Run("RFC9396-9.1-1 "+location, func(t *testing.T) {
			for range 2 {
				got := ""
				if r := s.locate(location); r != nil {
					got = r.ID
				}
				if got != want {
					t.Errorf("at %q, want %q", got, want)
				}
				slices.Reverse(s.config.Resources) // in whatever order the host names them
			}
		})
	}
	t.Run("RFC9396-13-1 an API is not told of what lies below another", func(t *testing.T) {
		ds := s.held([]string{`{"type":"a","locations":["https://api.bank.example/cards/1"]}`, `{"type":"a","locations":["https://api.bank.example/x"]}`})
		got := s.among(ds, []string{"https://api.bank.example"}).raw()
		if d := cmp.Diff([]json.RawMessage{json.RawMessage(ds[1].text)}, got); d != "" {
			t.Error(d)
		}
	})
}
