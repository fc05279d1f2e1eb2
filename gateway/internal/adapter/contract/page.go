package contract

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"io"
	"strconv"

	"go.yaml.in/yaml/v3"
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

//go:embed page.css
var style string

// pagePolicy lets the page use its one style and nothing else: no script, no image, no font, no form, no frame.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// writePage renders the reader. Whatever the documents say is text; links lead within the page, to anchors, and to the document.
func writePage(w io.Writer, doc *yaml.Node) error { return newPage(doc).node().Render(w) }

func (p page) node() g.Node {
	var index, sections g.Group
	for _, each := range p.Groups {
		if len(each.Operations) > 0 {
			index = append(index, each.index())
			sections = append(sections, each.section())
		}
	}
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			h.TitleEl(g.Text(p.Title)),
			h.StyleEl(g.Raw(style)), // our own file
		),
		h.Body(
			h.A(h.Class("skip"), h.Href("#main"), g.Text("Skip to the contract")),
			h.Header(
				h.H1(g.Text(p.Title+" "), h.Small(g.Text(p.Version))),
				paragraphs(p.Intro),
				h.P(h.Class("links"), h.A(h.Href("/openapi.yaml"), g.Text("openapi.yaml")), space, h.A(h.Href("/openapi.json"), g.Text("openapi.json"))),
			),
			h.Div(h.Class("columns"),
				h.Nav(h.Aria("label", "Operations"), index),
				h.Main(h.ID("main"), sections),
			),
		),
	))
}

// space keeps words apart that lie in elements of their own.
var space = g.Text(" ")

// index lists what is in a group.
func (t group) index() g.Node {
	return h.Details(g.Attr("open"), h.Summary(g.Text(t.Name)),
		h.Ul(g.Map(t.Operations, func(o operation) g.Node { return h.Li(o.link()) })))
}

func (t group) section() g.Node {
	return h.Section(h.ID(t.Anchor), h.H2(g.Text(t.Name)), paragraphs(t.Intro), g.Map(t.Operations, operation.article))
}

// link leads to the operation from anywhere in the page, and names it.
func (o operation) link() g.Node {
	return h.A(h.Href("#"+o.Anchor),
		h.Span(h.Class("method "+o.Method), g.Text(o.Method)), space, h.Span(h.Class("path"), g.Text(o.Path)))
}

func (o operation) article() g.Node {
	return h.Article(h.ID(o.Anchor),
		h.H3(o.link(), g.If(o.Open, g.Group{space, h.Span(h.Class("open"), g.Text("no token needed"))})),
		g.If(o.Summary != "", h.P(h.Class("summary"), g.Text(o.Summary))),
		paragraphs(o.Text),
		g.If(len(o.Parameters) > 0, g.Group{h.H4(g.Text("Parameters")), fields(o.Parameters)}),
		g.Map(o.Bodies, message.body),
		g.If(len(o.Answers) > 0, h.H4(g.Text("Answers"))),
		g.Map(o.Answers, message.answer),
	)
}

func (m message) body() g.Node {
	return h.Details(h.Summary(g.Text("Body "), h.Code(g.Text(m.Label))), paragraphs(m.Text), g.If(len(m.Fields) > 0, fields(m.Fields)))
}

// answer is one line, which opens when there is more to say.
func (m message) answer() g.Node {
	line := g.Group{h.Span(h.Class("status "+m.Class), g.Text(m.Label)), space}
	for _, b := range m.Text {
		for _, item := range b.Items {
			line = append(line, marked(item))
		}
	}
	if len(m.Fields) == 0 {
		return h.Div(h.Class("answer"), line)
	}
	return h.Details(h.Class("answer"), h.Summary(line), fields(m.Fields))
}

func fields(list []field) g.Node {
	return h.Dl(g.Map(list, func(f field) g.Node {
		kind := f.Type
		if f.Note != "" {
			kind += " in " + f.Note
		}
		return g.Group{
			h.Dt(h.Class("depth"+strconv.Itoa(f.Depth)), h.Code(g.Text(f.Name)), space, h.Span(h.Class("type"), g.Text(kind)),
				g.If(f.Required, g.Group{space, h.Span(h.Class("required"), g.Text("required"))})),
			g.If(len(f.Text) > 0, h.Dd(paragraphs(f.Text))),
		}
	}))
}

func paragraphs(blocks []block) g.Node {
	return g.Map(blocks, func(b block) g.Node {
		if b.List {
			return h.Ul(g.Map(b.Items, func(item []span) g.Node { return h.Li(marked(item)) }))
		}
		return g.Map(b.Items, func(item []span) g.Node { return h.P(marked(item)) })
	})
}

func marked(item []span) g.Node {
	return g.Map(item, func(s span) g.Node {
		switch {
		case s.Code:
			return h.Code(g.Text(s.Text))
		case s.Bold:
			return h.Strong(g.Text(s.Text))
		default:
			return g.Text(s.Text)
		}
	})
}
