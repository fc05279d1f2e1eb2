package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
)

// bill is a bill of materials as CycloneDX 1.5 has it. It has no serial number and no time: equal programs have equal bills.
type bill struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// sbom lists the modules that a program says it was made of, Go's own library among them.
func sbom(binary, name, version string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("what the program is made of: %w", err)
	}
	b := bill{
		Format: "CycloneDX", Spec: "1.5", Version: 1,
		Metadata:   metadata{component{Type: "application", Ref: name, Name: name, Version: version, PURL: "pkg:golang/" + info.Path + "@" + version}},
		Components: []component{library("std", strings.TrimPrefix(info.GoVersion, "go"), "")},
	}
	for _, m := range info.Deps {
		b.Components = append(b.Components, ofModule(m, version))
	}
	raw, err := json.MarshalIndent(b, "", "  ")
	return append(raw, '\n'), err
}

// ofModule is the module that was taken: a replacement by another one is what counts, one by a folder is ours, of the same version.
func ofModule(m *debug.Module, version string) component {
	if m.Replace != nil && m.Replace.Version != "" {
		m = m.Replace
	}
	if m.Version == "(devel)" || m.Version == "v0.0.0" || m.Replace != nil {
		return library(m.Path, version, "")
	}
	return library(m.Path, m.Version, m.Sum)
}

func library(path, version, sum string) component {
	c := component{Type: "library", Name: path, Version: version, PURL: "pkg:golang/" + path + "@" + version}
	c.Ref = c.PURL
	if sum != "" {
		c.Properties = []property{{"cdx:go:sum", sum}}
	}
	return c
}
