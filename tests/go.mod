module cloakroom.dev/tests

go 1.26.0

replace cloakroom.dev/libs => ../libs

require cloakroom.dev/libs v0.0.0

require github.com/getkin/kin-openapi v0.152.0 // indirect
