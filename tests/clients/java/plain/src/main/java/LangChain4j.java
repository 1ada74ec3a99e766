import com.fasterxml.jackson.databind.ObjectMapper;
import dev.langchain4j.data.segment.TextSegment;
import dev.langchain4j.model.openai.OpenAiEmbeddingModel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Map;

/** langchain4j; its HTTP client offers an upgrade to HTTP/2. */
class LangChain4j {
  public static void main(String[] args) throws Exception {
    var mapper = new ObjectMapper();
    var texts = mapper.readValue(System.in, String[].class);
    var model =
        OpenAiEmbeddingModel.builder()
            .baseUrl(System.getenv("REJOINDER_URL") + "/v1")
            .apiKey("any")
            .modelName(System.getenv("REJOINDER_MODEL"))
            .build();
    var segments = Arrays.stream(texts).map(TextSegment::from).toList();
    var vectors = new ArrayList<float[]>();
    for (var embedding : model.embedAll(segments).content()) {
      vectors.add(embedding.vector());
    }
    System.out.println(mapper.writeValueAsString(Map.of("embedAll", vectors)));
  }
}
