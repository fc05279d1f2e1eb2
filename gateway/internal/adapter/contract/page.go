package contract

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"

	"go.yaml.in/yaml/v3"
)

//go:embed page.css
var style string

//go:embed page.html
var pageText string

// pagePolicy lets the page use its one style and nothing else: no script, no image, no font, no form, no frame.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"style": func() template.CSS { return template.CSS(style) }, //nolint:gosec // our own file
}).Parse(pageText))

// writePage renders the reader.
func writePage(w io.Writer, doc *yaml.Node) error { return pageTemplate.Execute(w, newPage(doc)) }
