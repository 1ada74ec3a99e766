import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;

/** Reads the answer of `:predict`. */
class Predictions {
  static List<JsonNode> vectors(ObjectMapper mapper, String answer) throws Exception {
    var vectors = new ArrayList<JsonNode>();
    for (var row : mapper.readTree(answer).required("predictions")) {
      vectors.add(row.required("embedding"));
    }
    return vectors;
  }
}
