package contract

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// The page's model: the document, resolved and flattened into what a person reads.

type page struct {
	Title, Version string
	Intro          []block
	Groups         []group
}

type group struct {
	Anchor, Name string
	Intro        []block
	Operations   []operation
}

type operation struct {
	Anchor, Method, Path string
	Summary              string
	Text                 []block
	Open                 bool // nobody need show a token
	Parameters           []field
	Bodies, Answers      []message
}

// message is one body or one answer.
type message struct {
	Label  string // content type or status
	Class  string // of the status, for its colour: ok, bad
	Text   []block
	Fields []field
}

type field struct {
	Name, Type string
	Note       string // where a parameter is
	Required   bool
	Depth      int
	Text       []block
}

const maxDepth = 5

// model reads the merged document.
type model struct{ doc *yaml.Node }

func newPage(doc *yaml.Node) page {
	m := model{doc}
	info := get(doc, "info")
	p := page{Title: text(info, "title"), Version: text(info, "version"), Intro: prosaic(text(info, "description"))}
	byTag := map[string]int{}
	for _, t := range items(get(doc, "tags")) {
		name := text(t, "name")
		byTag[name] = len(p.Groups)
		p.Groups = append(p.Groups, group{Anchor: anchor("group-" + name), Name: name, Intro: prosaic(text(t, "description"))})
	}
	for path, item := range pairs(get(doc, "paths")) {
		for _, method := range methods {
			op := get(item, method)
			if op == nil {
				continue
			}
			tag := "other"
			if tags := items(get(op, "tags")); len(tags) > 0 {
				tag = tags[0].Value
			}
			at, known := byTag[tag]
			if !known {
				at = len(p.Groups)
				byTag[tag] = at
				p.Groups = append(p.Groups, group{Anchor: anchor("group-" + tag), Name: tag})
			}
			p.Groups[at].Operations = append(p.Groups[at].Operations, m.operation(method, path, item, op))
		}
	}
	return p
}

func (m model) operation(method, path string, item, op *yaml.Node) operation {
	o := operation{
		Anchor: anchor(method + path), Method: strings.ToUpper(method), Path: path,
		Summary: text(op, "summary"), Text: prosaic(text(op, "description")),
		Open: len(items(get(op, "security"))) == 0,
	}
	for _, list := range []*yaml.Node{get(item, "parameters"), get(op, "parameters")} {
		for _, p := range items(list) {
			p = m.resolve(p)
			o.Parameters = append(o.Parameters, field{
				Name: text(p, "name"), Note: text(p, "in"), Type: m.typeName(get(p, "schema")),
				Required: text(p, "required") == "true", Text: prosaic(text(p, "description")),
			})
		}
	}
	body := m.resolve(get(op, "requestBody"))
	o.Bodies = m.contents(get(body, "content"), "", prosaic(text(body, "description")))
	for status, a := range pairs(get(op, "responses")) {
		o.Answers = append(o.Answers, m.answer(status, m.resolve(a)))
	}
	return o
}

func (m model) answer(status string, a *yaml.Node) message {
	out := message{Label: status, Class: "bad", Text: prosaic(text(a, "description"))}
	if strings.HasPrefix(status, "2") || strings.HasPrefix(status, "3") {
		out.Class = "ok"
		for _, c := range m.contents(get(a, "content"), "", nil) {
			out.Fields = append(out.Fields, c.Fields...)
		}
	}
	return out
}

func (m model) contents(content *yaml.Node, class string, about []block) []message {
	var out []message
	for kind, c := range pairs(content) {
		out = append(out, message{Label: kind, Class: class, Text: about, Fields: m.fields(get(c, "schema"), 0)})
		about = nil
	}
	return out
}

// fields lists the properties of an object, and of the objects in it, each below its owner.
func (m model) fields(schema *yaml.Node, depth int) []field {
	schema = m.resolve(schema)
	if depth > maxDepth || schema == nil {
		return nil
	}
	var out []field
	for _, key := range []string{"allOf", "oneOf", "anyOf"} {
		for _, s := range items(get(schema, key)) {
			out = append(out, m.fields(s, depth)...)
		}
	}
	if list := get(schema, "items"); list != nil {
		return append(out, m.fields(list, depth)...)
	}
	required := map[string]bool{}
	for _, name := range items(get(schema, "required")) {
		required[name.Value] = true
	}
	for name, property := range pairs(get(schema, "properties")) {
		resolved := m.resolve(property)
		out = append(out, field{
			Name: name, Type: m.typeName(property), Required: required[name], Depth: depth,
			Text: prosaic(text(resolved, "description")),
		})
		out = append(out, m.fields(resolved, depth+1)...)
	}
	return out
}

// typeName says in a few words what a value is.
func (m model) typeName(schema *yaml.Node) string {
	schema = m.resolve(schema)
	name := text(schema, "type")
	if format := text(schema, "format"); format != "" {
		name += " (" + format + ")"
	}
	if name == "array" {
		name = "list of " + m.typeName(get(schema, "items"))
	}
	var values []string
	for _, v := range items(get(schema, "enum")) {
		values = append(values, v.Value)
	}
	if len(values) > 0 {
		name = strings.Join(values, " | ")
	}
	return name
}

// resolve follows references within the document, as far as they lead somewhere.
func (m model) resolve(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		ref := text(n, "$ref")
		if ref == "" {
			return n
		}
		n = m.doc
		for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			n = get(n, step)
		}
	}
	return nil
}

// anchor makes an id of any text.
func anchor(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c | 0x20
		}
		return '-'
	}, s)
}
