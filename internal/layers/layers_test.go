package layers_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/aikagi/aikagi/"

// floors are the packages that must exist, from the ground up. Every package
// in internal is on the ground, and every …test package and example on top.
var floors = [][]string{
	{"pkce", "mtls", "store", "internal/fetch", "internal/form", "internal/grant", "internal/jose"},
	{"token/dpop", "token/httpsig"},
	{"token"},
	{"authz"},
	{},
}

// sideways are the imports that do not go down.
var sideways = map[string]string{"internal/grant": "store"}

// confined are the dependencies, and the one package that may know each.
var confined = map[string]string{
	"github.com/lestrrat-go/jwx/v2": "internal/jose",
	"golang.org/x/crypto":           "mtls",
}

// floor returns the floor of a package of ours, or -1.
func floor(name string) int {
	switch {
	case strings.HasSuffix(path.Base(name), "test"), strings.HasPrefix(name, "examples/"):
		return len(floors) - 1
	case strings.HasPrefix(name, "internal/"):
		return 0
	}
	return slices.IndexFunc(floors, func(f []string) bool { return slices.Contains(f, name) })
}

// fault says why the package name may not import imp, or "".
func fault(name, imp string) string {
	host, _, _ := strings.Cut(imp, "/")
	switch ours, isOurs := strings.CutPrefix(imp, module); {
	case isOurs && floor(ours) >= floor(name) && sideways[name] != ours:
		return fmt.Sprintf("%s (floor %d) imports %s (floor %d)", name, floor(name), ours, floor(ours))
	case floor(name) == len(floors)-1 || isOurs:
		return ""
	case imp == "testing" || strings.HasPrefix(imp, "testing/") || imp == "net/http/httptest":
		return fmt.Sprintf("%s would link %s into servers", name, imp)
	case strings.Contains(host, ".") && !known(name, imp):
		return fmt.Sprintf("%s may not know %s", name, imp)
	}
	return ""
}

// known tells whether name may import the dependency imp.
func known(name, imp string) bool {
	for dep, who := range confined {
		if who == name && (imp == dep || strings.HasPrefix(imp, dep+"/")) {
			return true
		}
	}
	return false
}

// What does not build is the compiler's to report, hence -e.
func TestFloors(t *testing.T) {
	found := make(map[string]bool)
	dec := json.NewDecoder(strings.NewReader(run(t, "list", "-e", "-json=ImportPath,Imports", "./...")))
	for {
		var p struct {
			ImportPath string
			Imports    []string // of the code; tests may import what they like
		}
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		found[name] = true
		if floor(name) < 0 {
			t.Errorf("%s has no floor", name)
		}
		for _, imp := range p.Imports {
			if f := fault(name, imp); f != "" {
				t.Error(f)
			}
		}
	}
	for _, name := range slices.Concat(floors...) {
		if !found[name] {
			t.Errorf("%s does not exist", name)
		}
	}
}

// FAPI 2.0 Message Signing has no HTTP signatures any more: who claims it, links
// none. Whoever wants them mounts token/httpsig around either package.
func TestHTTPSignaturesApart(t *testing.T) {
	t.Run("CONF-24 neither server nor verifier reaches token/httpsig", func(t *testing.T) {
		deps := strings.Fields(run(t, "list", "-deps", "./authz", "./token"))
		if !slices.Contains(deps, module+"token/dpop") {
			t.Fatalf("no dependencies of ours among %d", len(deps))
		}
		if slices.Contains(deps, module+"token/httpsig") {
			t.Error("one of them imports it")
		}
	})
}

// The root module requires these and no more; all else is the standard library.
func TestRequirements(t *testing.T) {
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal([]byte(run(t, "mod", "edit", "-json")), &mod); err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	slices.Sort(direct)
	want := []string{"github.com/google/go-cmp", "github.com/lestrrat-go/jwx/v2", "golang.org/x/crypto"}
	if !slices.Equal(direct, want) {
		t.Errorf("direct requirements are %q, want %q", direct, want)
	}
}

// The rules themselves: each line is an import that is right, or one that would tempt somebody.
func TestFault(t *testing.T) {
	tests := []struct {
		name, imp string
		ok        bool
	}{
		{"authz", "crypto/tls", true},
		{"authz", module + "token", true},
		{"authz", module + "internal/jose", true},
		{"token", module + "token/dpop", true},
		{"internal/grant", module + "store", true},
		{"internal/jose", "github.com/lestrrat-go/jwx/v2/jws", true},
		{"mtls", "golang.org/x/crypto/cryptobyte", true},
		{"store/storetest", "testing", true},
		{"store/storetest", module + "store", true},
		{"authz/authztest", module + "authz", true},

		{"token", module + "authz", false},
		{"token/dpop", module + "token", false},
		{"store", module + "internal/grant", false},
		{"mtls", module + "internal/fetch", false},
		{"internal/fetch", module + "mtls", false},
		{"internal/grant", module + "internal/jose", false},
		{"authz", module + "authz/authztest", false},
		{"authz", "testing", false},
		{"token", "testing/synctest", false},
		{"authz", "net/http/httptest", false},
		{"authz", "github.com/lestrrat-go/jwx/v2/jwk", false},
		{"internal/jose", "github.com/lestrrat-go/httprc", false},
		{"token", "golang.org/x/crypto/ocsp", false},
		{"mtls", "golang.org/x/net/idna", false},
		{"store", "github.com/google/go-cmp/cmp", false},
	}
	for _, tt := range tests {
		if f := fault(tt.name, tt.imp); (f == "") != tt.ok {
			t.Errorf("%s imports %s: fault %q, want ok %v", tt.name, tt.imp, f, tt.ok)
		}
	}
}

// run runs the go command at the module's root.
func run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = "../.."
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
