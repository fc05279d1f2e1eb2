module cloakroom.dev/tests

go 1.26.0

replace cloakroom.dev/libs => ../libs

require cloakroom.dev/libs v0.0.0

require (
	github.com/getkin/kin-openapi v0.152.0 // indirect
	go.opentelemetry.io/proto/otlp v1.11.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

exclude github.com/google/pprof v0.0.0-20261016150608-1facf8f91b50
