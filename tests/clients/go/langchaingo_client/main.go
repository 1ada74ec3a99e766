// LangChain for Go: its embedder with OpenAI's client, documents and a query.
package main

import (
	"context"

	"github.com/tmc/langchaingo/embeddings"
	"github.com/tmc/langchaingo/llms/openai"

	"rejoinder/clients/connection"
)

func main() {
	ctx := context.Background()
	client, err := openai.New(
		openai.WithBaseURL(connection.URL+"/v1"), openai.WithToken(connection.Key),
		openai.WithEmbeddingModel(connection.Model))
	connection.Check(err)
	embedder, err := embeddings.NewEmbedder(client)
	connection.Check(err)
	texts := connection.Texts()
	documents, err := embedder.EmbedDocuments(ctx, texts)
	connection.Check(err)
	queries := [][]float32{}
	for _, text := range texts {
		query, err := embedder.EmbedQuery(ctx, text)
		connection.Check(err)
		queries = append(queries, query)
	}
	connection.Print(map[string]any{"documents": documents, "queries": queries})
}
