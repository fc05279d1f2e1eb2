package contract

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// part is one service's document.
type part struct {
	name string // of the service, for errors and for names that clash
	doc  *yaml.Node
}

// merge joins documents into the first. Paths are public: two services that claim the same method of the same path are
// an error. Components are private to their document: where two differ under one name, the later one's are renamed to
// "service.Name". A document's own default security is written out, since its operations no longer stand under it.
func merge(base part, others ...part) (*yaml.Node, error) {
	spellOutSecurity(base.doc)
	own := map[string]bool{}
	for path := range pairs(get(base.doc, "paths")) {
		own[path] = true
	}
	for _, p := range others {
		if !strings.HasPrefix(text(p.doc, "openapi"), "3.0.") {
			return nil, fmt.Errorf("the document of %s is OpenAPI %q: 3.0 is needed", p.name, text(p.doc, "openapi"))
		}
		spellOutSecurity(p.doc)
		renamed := clashes(base.doc, p.doc)
		rename(p.doc, renamed, p.name)
		addComponents(base.doc, p, renamed)
		if err := addPaths(base.doc, p, own); err != nil {
			return nil, err
		}
		addTags(base.doc, p.doc)
	}
	return base.doc, nil
}

var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// spellOutSecurity moves the document's default security to the operations that have none of their own.
func spellOutSecurity(doc *yaml.Node) {
	common := get(doc, "security")
	if common == nil {
		return
	}
	for _, item := range pairs(get(doc, "paths")) {
		for _, method := range methods {
			if op := get(item, method); op != nil && get(op, "security") == nil {
				put(op, "security", clone(common))
			}
		}
	}
	remove(doc, "security")
}

func clone(n *yaml.Node) *yaml.Node {
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i := range n.Content {
		c.Content[i] = clone(n.Content[i])
	}
	return &c
}

// addPaths leaves out what the first document has itself: the gateway answers that, and the service is never asked.
func addPaths(base *yaml.Node, p part, own map[string]bool) error {
	paths := child(base, "paths")
	for path, item := range pairs(get(p.doc, "paths")) {
		if own[path] {
			continue
		}
		there := get(paths, path)
		if there == nil {
			put(paths, path, item)
			continue
		}
		for key, value := range pairs(item) {
			if get(there, key) != nil {
				return fmt.Errorf("%s %s of %s is claimed by another service already", strings.ToUpper(key), path, p.name)
			}
			put(there, key, value)
		}
	}
	return nil
}

func addTags(base, doc *yaml.Node) {
	tags := get(base, "tags")
	if tags == nil {
		tags = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		put(base, "tags", tags)
	}
	known := map[string]bool{}
	for _, t := range items(tags) {
		known[text(t, "name")] = true
	}
	for _, t := range items(get(doc, "tags")) {
		if name := text(t, "name"); !known[name] {
			known[name] = true
			tags.Content = append(tags.Content, t)
		}
	}
}

func addComponents(base *yaml.Node, p part, renamed map[string]bool) {
	into := child(base, "components")
	for kind, named := range pairs(get(p.doc, "components")) {
		for name, c := range pairs(named) {
			if renamed[kind+"/"+name] {
				name = p.name + "." + name
			}
			if list := child(into, kind); get(list, name) == nil {
				put(list, name, c)
			}
		}
	}
}

// clashes returns the components of doc ("kind/name") that mean something else in base, and those that refer to one.
func clashes(base, doc *yaml.Node) map[string]bool {
	differ, same := map[string]bool{}, map[string]*yaml.Node{}
	for kind, named := range pairs(get(doc, "components")) {
		for name, c := range pairs(named) {
			switch there := get(get(get(base, "components"), kind), name); {
			case there == nil:
			case equal(there, c, false):
				same[kind+"/"+name] = c
			default:
				differ[kind+"/"+name] = true
			}
		}
	}
	for again := true; again; {
		again = false
		for id, c := range same {
			if !differ[id] && refersTo(c, differ) {
				differ[id], again = true, true
			}
		}
	}
	return differ
}

const refPrefix = "#/components/"

func refersTo(n *yaml.Node, ids map[string]bool) bool {
	for key, v := range pairs(n) {
		if key == "$ref" && ids[strings.TrimPrefix(v.Value, refPrefix)] {
			return true
		}
	}
	for _, c := range n.Content {
		if refersTo(c, ids) {
			return true
		}
	}
	return false
}

// prose are keys whose values tell people things and programs nothing.
var prose = map[string]bool{
	"description": true, "summary": true, "title": true, "example": true, "examples": true, "externalDocs": true,
	"bearerFormat": true,
}

// equal compares two trees but for prose and order. Under "properties" every key is a name of the author's.
func equal(a, b *yaml.Node, names bool) bool {
	if a.Kind != b.Kind || a.Value != b.Value {
		return false
	}
	if a.Kind != yaml.MappingNode {
		if len(a.Content) != len(b.Content) {
			return false
		}
		for i := range a.Content {
			if !equal(a.Content[i], b.Content[i], false) {
				return false
			}
		}
		return true
	}
	return covers(a, b, names) && covers(b, a, names)
}

// covers reports whether b has every key of a with an equal value.
func covers(a, b *yaml.Node, names bool) bool {
	for key, v := range pairs(a) {
		if prose[key] && !names {
			continue
		}
		if other := get(b, key); other == nil || !equal(v, other, key == "properties" && !names) {
			return false
		}
	}
	return true
}

// rename changes every reference to a renamed component.
func rename(n *yaml.Node, ids map[string]bool, service string) {
	if len(ids) == 0 {
		return
	}
	for key, v := range pairs(n) {
		if id, ok := strings.CutPrefix(v.Value, refPrefix); ok && key == "$ref" && ids[id] {
			kind, name, _ := strings.Cut(id, "/")
			v.Value = refPrefix + kind + "/" + service + "." + name
		}
		if key == "security" && v.Kind == yaml.SequenceNode {
			for _, requirement := range v.Content {
				renameSchemes(requirement, ids, service)
			}
		}
	}
	for _, c := range n.Content {
		rename(c, ids, service)
	}
}

// renameSchemes changes the names of security schemes, which are referred to by key.
func renameSchemes(requirement *yaml.Node, ids map[string]bool, service string) {
	for i := 0; i+1 < len(requirement.Content); i += 2 {
		if name := requirement.Content[i].Value; ids["securitySchemes/"+name] {
			requirement.Content[i].Value = service + "." + name
		}
	}
}
