// Package manifest reads YAML files of resources and remembers where everything stood.
//
// A file holds documents separated by lines of ---, one object each. Values are read as kubectl reads them, with
// duplicate keys refused; beside them the file's node tree is kept, so that a problem with spec.rules[0].auth can be told
// as a line. One bad document doesn't hide the others of its file.
package manifest

import (
	"bytes"
	"fmt"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"

	yamlnode "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/validation"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// Document is one object as it was written.
type Document struct {
	File string
	Line int // of its first line that is not empty or comment
	Kind string
	Name string

	// Raw is the object's content, fit for admit.Admitter. It is nil when Problem is set.
	Raw map[string]any

	// Generation is the source's own count of the object's contents, as a cluster keeps one; 0 where there is none.
	Generation int64

	// FilledIn reports whether the source itself has filled in the field at a path, as a cluster does with defaults. Such a field is
	// left out when nobody here knows it. Nil where a source adds nothing.
	FilledIn func(path string) bool

	// Problem says why the document can't be an object at all. Kind and Name are set as far as they could be read.
	Problem *resource.Finding

	root *yamlnode.Node
}

// ID is Kind/name.
func (d *Document) ID() string { return d.Kind + "/" + d.Name }

// Known reports whether the document says which object it is, even if it is a bad one.
func (d *Document) Known() bool {
	_, ok := v1alpha1.New(d.Kind)
	return ok && d.Name != ""
}

// Find makes a finding about one field of the document.
func (d *Document) Find(field, message string) resource.Finding {
	return resource.Finding{
		File: d.File, Line: lineOf(d.root, field, d.Line), Kind: d.Kind, Name: d.Name, Field: field, Message: message,
	}
}

// MaxDocuments is how many documents of one file are read.
const MaxDocuments = 1000

// Parse reads every document of a file. Documents that hold nothing are left out.
func Parse(file string, text []byte) []*Document {
	var all []*Document
	for _, part := range split(text) {
		d := parse(file, part)
		if d == nil {
			continue
		}
		if len(all) == MaxDocuments {
			d = &Document{File: file, Line: part.line}
			d.fail("", part.line, fmt.Sprintf("more than %d documents: the rest of the file is not read", MaxDocuments))
			return append(all, d)
		}
		all = append(all, d)
	}
	return all
}

func parse(file string, p part) *Document {
	d := &Document{File: file, Line: p.line}
	var tree yamlnode.Node
	if err := yamlnode.Unmarshal(p.text, &tree); err != nil {
		message := p.place(err, d)
		d.fail("", d.Line, "not YAML: "+message)
		return d
	}
	if len(tree.Content) == 0 {
		return nil
	}
	d.root = shift(&tree, p.line-1).Content[0]
	if d.root.Kind == yamlnode.ScalarNode && d.root.Tag == "!!null" {
		return nil
	}
	d.Line = d.root.Line
	if d.root.Kind != yamlnode.MappingNode {
		d.fail("", d.Line, "not an object: a document is apiVersion, kind, metadata and spec")
		return d
	}
	d.Kind, d.Name = scalar(d.root, "kind"), scalar(child(d.root, "metadata"), "name")
	// A name that can't be one names nothing: it must not reach a file name, a log or a terminal.
	if wrong := validation.NameIsDNSSubdomain(d.Name, false); d.Name != "" && len(wrong) > 0 {
		name := d.Name
		d.Name = ""
		d.fail("metadata.name", 0, fmt.Sprintf("Invalid value: %q: %s", clip(name), wrong[0]))
		return d
	}
	d.read(p)
	return d
}

func clip(name string) string { return name[:min(len(name), 300)] }

// read decodes the values and refuses what can't be one of our objects.
func (d *Document) read(p part) {
	version, want := scalar(d.root, "apiVersion"), v1alpha1.GroupVersion.String()
	_, known := v1alpha1.New(d.Kind)
	switch {
	case version != want:
		d.fail("apiVersion", 0, fmt.Sprintf("%q is not %s", version, want))
		return
	case !known:
		d.fail("kind", 0, fmt.Sprintf("no kind %q in %s", d.Kind, want))
		return
	case d.Name == "":
		d.fail("metadata.name", 0, "Required value: an object needs a name, a string")
		return
	}
	text, err := yaml.YAMLToJSONStrict(p.text)
	if err != nil {
		message := p.place(err, d)
		d.fail("", d.Line, message)
		return
	}
	var raw map[string]any
	if err := utiljson.Unmarshal(text, &raw); err != nil {
		d.fail("", d.Line, err.Error())
		return
	}
	d.Raw = raw
}

func (d *Document) fail(field string, line int, message string) {
	if line == 0 {
		line = lineOf(d.root, field, d.Line)
	}
	f := resource.Finding{File: d.File, Line: line, Field: field, Message: message}
	if d.Known() {
		f.Kind, f.Name = d.Kind, d.Name
	}
	d.Problem = &f
}

// part is one document's text and the line it begins at.
type part struct {
	text []byte
	line int
}

// split cuts at lines of --- as kubectl does: alone, or followed by a comment.
func split(text []byte) []part {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var parts []part
	start, line, first := 0, 1, 1
	for pos := 0; pos < len(text); line++ {
		end := len(text)
		if i := bytes.IndexByte(text[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		if separator(text[pos:end]) {
			parts = append(parts, part{text[start:pos], first})
			start, first = end, line+1
		}
		pos = end
	}
	return append(parts, part{text[start:], first})
}

func separator(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	rest = bytes.TrimSpace(rest)
	return ok && (len(rest) == 0 || rest[0] == '#')
}

// place makes a YAML error one line of text, and moves its line number from the part to the file.
func (p part) place(err error, d *Document) string {
	message := strings.Join(strings.Fields(err.Error()), " ")
	for _, prefix := range []string{"error converting YAML to JSON: ", "yaml: ", "unmarshal errors: "} {
		message = strings.TrimPrefix(message, prefix)
	}
	var line int
	if n, _ := fmt.Sscanf(message, "line %d: ", &line); n == 1 {
		d.Line = line + p.line - 1
		_, message, _ = strings.Cut(message, ": ")
	}
	return message
}
