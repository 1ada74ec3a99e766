import com.fasterxml.jackson.databind.ObjectMapper;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.errors.NotFoundException;
import com.openai.models.embeddings.EmbeddingCreateParams;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Map;

/** OpenAI's own client: embeddings, one model, the list of models, and an unknown model. */
class OpenAi {
  public static void main(String[] args) throws Exception {
    var mapper = new ObjectMapper();
    var texts = Arrays.asList(mapper.readValue(System.in, String[].class));
    var name = System.getenv("REJOINDER_MODEL");
    var client =
        OpenAIOkHttpClient.builder()
            .baseUrl(System.getenv("REJOINDER_URL") + "/v1")
            .apiKey("any")
            .maxRetries(0)
            .build();
    var params = EmbeddingCreateParams.builder().inputOfArrayOfStrings(texts);
    var vectors = new ArrayList<Object>();
    for (var row : client.embeddings().create(params.model(name).build()).data()) {
      vectors.add(row.embedding());
    }
    var model = client.models().retrieve(name).validate();
    if (!model.id().equals(name) || !client.models().list().data().get(0).id().equals(name)) {
      throw new AssertionError(model);
    }
    try {
      client.embeddings().create(params.model("other").build());
      throw new AssertionError("an unknown model was accepted");
    } catch (NotFoundException expected) {
      // The error is OpenAI's.
    }
    System.out.println(mapper.writeValueAsString(Map.of("embeddings", vectors)));
    client.close();
  }
}
