package authz_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"
)

// threatIDs are the rows of threats.md, in order: the threats of RFC 6819,
// section 4 (T), its countermeasures, section 5 (C), and the threats known since
// (X), most of them from RFC 9700.
var threatIDs = strings.Fields(`
T-4.1.1 T-4.1.2a T-4.1.2b T-4.1.2c T-4.1.2d T-4.1.3 T-4.1.4 T-4.1.5
T-4.2.1 T-4.2.2 T-4.2.3 T-4.2.4
T-4.3.1 T-4.3.2 T-4.3.3 T-4.3.4 T-4.3.5
T-4.4.1.1 T-4.4.1.2 T-4.4.1.3 T-4.4.1.4 T-4.4.1.5 T-4.4.1.6 T-4.4.1.7 T-4.4.1.8 T-4.4.1.9 T-4.4.1.10 T-4.4.1.11 T-4.4.1.12 T-4.4.1.13
T-4.4.2.1 T-4.4.2.2 T-4.4.2.3 T-4.4.2.4 T-4.4.2.5 T-4.4.2.6
T-4.4.3 T-4.4.3.1 T-4.4.3.2 T-4.4.3.3 T-4.4.3.4 T-4.4.3.5 T-4.4.3.6 T-4.4.4
T-4.5.1 T-4.5.2 T-4.5.3 T-4.5.4
T-4.6.1 T-4.6.2 T-4.6.3 T-4.6.4 T-4.6.5 T-4.6.6 T-4.6.7
X-1 X-2 X-3 X-4 X-5 X-6 X-7 X-8 X-9 X-10 X-11 X-12 X-13 X-14 X-15 X-16 X-17 X-18 X-19 X-20
X-21 X-22 X-23 X-24 X-25 X-26 X-27 X-28 X-29 X-30 X-31 X-32 X-33 X-34 X-35
C-5.1.1 C-5.1.2 C-5.1.3 C-5.1.4.1.1 C-5.1.4.1.2 C-5.1.4.1.3 C-5.1.4.1.4 C-5.1.4.1.5
C-5.1.4.2.1 C-5.1.4.2.2 C-5.1.4.2.3 C-5.1.4.2.4 C-5.1.4.2.5
C-5.1.5.1 C-5.1.5.2 C-5.1.5.3 C-5.1.5.4 C-5.1.5.5 C-5.1.5.6 C-5.1.5.7 C-5.1.5.8 C-5.1.5.9 C-5.1.5.10 C-5.1.5.11 C-5.1.6
C-5.2.1.1 C-5.2.2.1 C-5.2.2.2 C-5.2.2.3 C-5.2.2.4 C-5.2.2.5 C-5.2.2.6
C-5.2.3.1 C-5.2.3.2 C-5.2.3.3 C-5.2.3.4 C-5.2.3.5 C-5.2.3.6 C-5.2.3.7
C-5.2.4.1 C-5.2.4.2 C-5.2.4.3 C-5.2.4.4 C-5.2.4.5
C-5.3.1 C-5.3.2 C-5.3.3 C-5.3.4 C-5.3.5 C-5.4.1 C-5.4.2 C-5.4.3 C-5.5
`)

// notOurs are the rows that a library cannot counter: what they ask happens in a
// client, in an operating system or in the bank's login. Their cells for code
// and test have a dash.
var notOurs = strings.Fields("C-5.1.4.2.1 C-5.2.2.5 C-5.3.1 C-5.3.2 C-5.3.3 C-5.3.4")

// TestThreats keeps threats.md true: no threat is left out or there twice, and
// every file, name and test that a row points to exists.
func TestThreats(t *testing.T) {
	text, err := os.ReadFile("threats.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := readThreats(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.ids...)
	}
	if d := gocmp.Diff(threatIDs, ids); d != "" {
		t.Errorf("ids, -want +got\n%s", d)
	}
	repo := sources{}
	for _, r := range rows {
		for _, fault := range r.check(repo) {
			t.Errorf("line %d, %s: %s", r.line, r.ids[0], fault)
		}
	}
}

// TestThreatsAreChecked: what TestThreats is for.
func TestThreatsAreChecked(t *testing.T) {
	const code, proof = "see [`Server.authorize`](authorize.go)", "[`TestThreats`](threats_test.go)"
	row := func(cells ...string) string {
		return threatHeader + "\n" + threatRule + "\n| " + strings.Join(cells, " | ") + " |\n"
	}
	for name, page := range map[string]string{
		"":                          row("X-1", "threat", code, proof, "nothing"),
		"a title":                   row("X-1", "threat", code, "[`TestThreatsAreChecked`](threats_test.go) \"a title\"", "nothing"),
		"a member":                  row("X-1", "threat", "[`Config.Interact`](config.go)", proof, "nothing"),
		"no file":                   row("X-1", "threat", "[`Server.authorize`](nowhere.go)", proof, "nothing"),
		"no name":                   row("X-1", "threat", "[`Server.nothing`](authorize.go)", proof, "nothing"),
		"name of another file":      row("X-1", "threat", "[`Server.authorize`](server.go)", proof, "nothing"),
		"a link that is no name":    row("X-1", "threat", "[authorize](authorize.go)", proof, "nothing"),
		"no link to code":           row("X-1", "threat", "somewhere", proof, "nothing"),
		"a file outside":            row("X-1", "threat", "[`x`](/etc/passwd)", proof, "nothing"),
		"no test":                   row("X-1", "threat", code, "-", "nothing"),
		"a test in words":           row("X-1", "threat", code, "all tests", "nothing"),
		"a test that is gone":       row("X-1", "threat", code, "[`TestGone`](threats_test.go)", "nothing"),
		"a test of another file":    row("X-1", "threat", code, "[`TestThreats`](authorize_test.go)", "nothing"),
		"a helper":                  row("X-1", "threat", code, "[`readThreats`](threats_test.go)", "nothing"),
		"a title that is gone":      row("X-1", "threat", code, "[`TestThreats`](threats_test.go) \"gone\"", "nothing"),
		"a title of another test":   row("X-1", "threat", code, "[`TestThreats`](threats_test.go) \"a title\"", "nothing"),
		"part of a title":           row("X-1", "threat", code, "[`TestThreatsAreChecked`](threats_test.go) \"a tit\"", "nothing"),
		"words after a test":        row("X-1", "threat", code, proof+" and others", "nothing"),
		"an empty cell":             row("X-1", "", code, proof, "nothing"),
		"four cells":                row("X-1", "threat", code, proof),
		"a row without its heading": "| X-1 | threat | " + code + " | " + proof + " | nothing |\n",
		"an id that is none":        row("X1", "threat", code, proof, "nothing"),
	} {
		t.Run(name, func(t *testing.T) {
			good := name == "" || name == "a title" || name == "a member"
			rows, err := readThreats(page)
			if err == nil && len(rows) == 1 {
				if faults := rows[0].check(sources{}); len(faults) > 0 {
					err = fmt.Errorf("%q", faults)
				}
			}
			if (err == nil) != good {
				t.Errorf("%v", err)
			}
		})
	}
}

// A threat is a row of threats.md.
type threat struct {
	line       int
	ids        []string
	code, test string // the cells that name what exists
}

const (
	threatHeader = "| id | threat | what counters it | test | what remains with the bank |"
	threatRule   = "|---|---|---|---|---|"
)

var (
	idForm   = regexp.MustCompile(`^[TCX]-[0-9]+(\.[0-9]+)*[a-d]?$`)
	linkForm = regexp.MustCompile(`\[([^\]]*)\]\(([^)]*)\)`)
	nameForm = regexp.MustCompile("^`[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)?`$")
	testForm = regexp.MustCompile("^\\[`(Test[A-Za-z0-9_]+)`\\]\\(([^)]+_test\\.go)\\)(?: \"([^\"]+)\")?$")
)

// readThreats reads every row of every table of the page, strictly.
func readThreats(page string) (rows []threat, err error) {
	inside := false
	lines := strings.Split(page, "\n")
	for i, line := range lines {
		switch {
		case !strings.HasPrefix(line, "|"):
			inside = false
			continue
		case line == threatHeader:
			inside = i+1 < len(lines) && lines[i+1] == threatRule
			continue
		case line == threatRule:
			continue
		case !inside:
			return nil, fmt.Errorf("line %d: a row of no table", i+1)
		}
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|"), "|")
		if len(cells) != 5 {
			return nil, fmt.Errorf("line %d: %d cells", i+1, len(cells))
		}
		for j := range cells {
			if cells[j] = strings.TrimSpace(cells[j]); cells[j] == "" {
				return nil, fmt.Errorf("line %d: cell %d is empty", i+1, j+1)
			}
		}
		r := threat{i + 1, strings.Split(cells[0], ", "), cells[2], cells[3]}
		for _, id := range r.ids {
			if !idForm.MatchString(id) {
				return nil, fmt.Errorf("line %d: %q is no id", i+1, id)
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// check returns what is not so.
func (r *threat) check(repo sources) (faults []string) {
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	ours := !slices.Contains(notOurs, r.ids[0])
	if !ours && (r.code != "-" || r.test != "-") {
		add("it cannot be countered here")
	}
	if !ours {
		return faults
	}
	links := linkForm.FindAllStringSubmatch(r.code, -1)
	if len(links) == 0 {
		add("no code is named")
	}
	for _, l := range links {
		switch f, err := repo.file(l[2]); {
		case err != nil:
			add("%v", err)
		case !nameForm.MatchString(l[1]):
			add("%s is no name", l[1])
		case !f.names[strings.Trim(l[1], "`")]:
			add("%s does not declare %s", l[2], l[1])
		}
	}
	for _, ref := range strings.Split(r.test, "; ") {
		p := testForm.FindStringSubmatch(ref)
		if p == nil {
			add("%q is no test", ref)
			continue
		}
		f, err := repo.file(p[2])
		switch {
		case err != nil:
			add("%v", err)
		case f.tests[p[1]] == nil:
			add("%s has no %s", p[2], p[1])
		case p[3] != "" && !f.tests[p[1]][p[3]]:
			add("%s in %s has no %q", p[1], p[2], p[3])
		}
	}
	return faults
}

// A source is what a Go file declares.
type source struct {
	names map[string]bool            // functions, types, variables and constants; T.m for methods and members
	tests map[string]map[string]bool // of each test, the texts in it: titles of its subtests are among them
}

// sources are the files read so far.
type sources map[string]*source

// file reads the Go file at a path from this directory, inside the repository.
func (s sources) file(path string) (*source, error) {
	if f := s[path]; f != nil {
		return f, nil
	}
	inside := filepath.Clean(filepath.Join("authz", path))
	if filepath.IsAbs(path) || !filepath.IsLocal(inside) {
		return nil, fmt.Errorf("%s is outside", path)
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f := &source{map[string]bool{}, map[string]map[string]bool{}}
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			f.function(d)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				f.declaration(spec)
			}
		}
	}
	s[path] = f
	return f, nil
}

func (f *source) function(d *ast.FuncDecl) {
	name := d.Name.Name
	if d.Recv != nil {
		of := d.Recv.List[0].Type
		if p, ok := of.(*ast.StarExpr); ok {
			of = p.X
		}
		name = fmt.Sprint(of) + "." + name
	}
	f.names[name] = true
	if d.Recv != nil || !strings.HasPrefix(name, "Test") {
		return
	}
	texts := map[string]bool{}
	ast.Inspect(d.Body, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if text, err := strconv.Unquote(l.Value); err == nil && utf8.ValidString(text) {
				texts[strings.TrimSpace(text)] = true
			}
		}
		return true
	})
	f.tests[name] = texts
}

func (f *source) declaration(spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, n := range spec.Names {
			f.names[n.Name] = true
		}
	case *ast.TypeSpec:
		f.names[spec.Name.Name] = true
		var members *ast.FieldList
		switch of := spec.Type.(type) {
		case *ast.StructType:
			members = of.Fields
		case *ast.InterfaceType:
			members = of.Methods
		}
		for _, m := range cmp.Or(members, &ast.FieldList{}).List {
			for _, n := range m.Names {
				f.names[spec.Name.Name+"."+n.Name] = true
			}
		}
	}
}
