module cloakroom.dev/tests

go 1.26

replace cloakroom.dev/libs => ../libs

require cloakroom.dev/libs v0.0.0
