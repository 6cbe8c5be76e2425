import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.avro.SchemaConverters;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

import static org.apache.spark.sql.avro.functions.to_avro;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.to_json;

/** One row by functions of Spark, on one thread: their names, the values they write, and the schema that somebody registered, in base64. */
public final class Spark {
  private static final int REGISTERED = 7;

  public static void main(String[] arguments) throws Exception {
    PrintStream found = System.out;
    System.setOut(System.err);
    StructType type = new StructType()
        .add("type", DataTypes.StringType)
        .add("userId", DataTypes.StringType)
        .add("event", DataTypes.StringType)
        .add("timestamp", DataTypes.TimestampType)
        .add("properties", DataTypes.createMapType(DataTypes.StringType, DataTypes.LongType));
    Row row = RowFactory.create("track", "42", "Serialized", Timestamp.from(Instant.parse("2026-03-04T04:06:07.890Z")), Map.of("whole", 42L));
    Column whole = struct(col("*"));
    ByteBuffer prefix = ByteBuffer.allocate(5).put((byte) 0).putInt(REGISTERED);
    try (SparkSession spark = SparkSession.builder().master("local[1]").config("spark.ui.enabled", false).getOrCreate()) {
      Dataset<Row> rows = spark.createDataFrame(List.of(row), type);
      Schema schema = SchemaConverters.toAvroType(type, false, "Track", "example.tea");
      show(found, "Spark, to_json", rows.select(to_json(whole).cast("binary")), "");
      show(found, "Spark, to_avro", rows.select(to_avro(whole)), "");
      Column framed = concat(lit(prefix.array()), to_avro(whole, schema.toString()));
      show(found, "Spark, to_avro, framed by hand", rows.select(framed), schema.toString());
    }
  }

  private static void show(PrintStream found, String name, Dataset<Row> value, String schema) {
    found.println(String.join("\t", name, base64((byte[]) value.first().get(0)), "", base64(schema.getBytes(StandardCharsets.UTF_8))));
  }

  private static String base64(byte[] bytes) {
    return Base64.getEncoder().encodeToString(bytes);
  }
}
