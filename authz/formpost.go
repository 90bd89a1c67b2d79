package authz

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"strings"
)

// formScript sends the form. Browsers run it because the page's policy has its
// digest, and no other script.
const formScript = `document.forms[0].submit()`

// formPost answers with a page that posts params to uri by itself, or at the
// press of its button where scripts are off (OAuth 2.0 Form Post Response Mode,
// 2). It can run one script and send its one form, and nothing else.
//
// The policy does not name the client's origin: Chromium holds form-action
// against every redirect that follows, so that a client which answers the post
// with one to another origin would have its customer stranded on this page.
func formPost(w http.ResponseWriter, uri string, params [][2]string) {
	script := sha256.Sum256([]byte(formScript))
	h := w.Header()
	browserHeaders(h)
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'sha256-"+base64.StdEncoding.EncodeToString(script[:])+
		"'; form-action https:; frame-ancestors 'none'; base-uri 'none'")
	write(w, http.StatusOK, typeHTML, []byte(formPage(uri, params)))
}

// formPage returns the page. Package html/template would write uri as it thinks
// that URLs should be; a client finds its own again byte for byte.
func formPage(uri string, params [][2]string) string {
	var b strings.Builder
	b.WriteString(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Back to the application</title>
<form method="post" action="` + html.EscapeString(uri) + `">
`)
	for _, p := range params {
		b.WriteString(`<input type="hidden" name="` + html.EscapeString(p[0]) + `" value="` + html.EscapeString(p[1]) + `">
`)
	}
	b.WriteString(`<button>Continue</button>
</form>
<script>` + formScript + `</script>
</html>
`)
	return b.String()
}
